/**
 * What was measured several times: the median, and beside it as spread the interquartile range divided by the median.
 * The machine is shared: a range would tell of the one worst disturbance, the quartiles tell of most runs. The spread of
 * what was measured once is null, and that of a median of 0 from which some differ.
 */
export interface Figure {
  readonly median: number
  readonly spread: number | null
}

/** @param values at least one */
export function figure (values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b)
  const median = quantile(sorted, 0.5)
  const range = quantile(sorted, 0.75) - quantile(sorted, 0.25)
  return { median, spread: values.length < 2 || (median === 0 && range > 0) ? null : range / (median || 1) }
}

/** a / b of each run: what disturbs the machine for a while disturbs both. */
export function ratio (a: readonly number[], b: readonly number[]): Figure {
  return figure(a.map((value, i) => value / b[i]))
}

/** @param q from 0 to 1; between two values it is interpolated */
export function quantile (sorted: readonly number[], q: number): number {
  const place = (sorted.length - 1) * q
  const below = Math.floor(place)
  const above = Math.ceil(place)
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below)
}

/** For people: `1.25 ±4 %`. */
export function readable (figure: Figure | null, unit = ''): string {
  if (figure === null) return '–'
  const { median, spread } = figure
  const digits = median >= 100 ? 0 : median >= 10 ? 1 : 2
  return `${median.toFixed(digits)}${unit}${spread === null ? '' : ` ±${(100 * spread).toFixed(0)} %`}`
}

/** For programs: each figure under its key, its spread under the key + `Spread`. */
export function flat (figures: Readonly<Record<string, Figure | null>>): Record<string, number | null> {
  return Object.fromEntries(Object.entries(figures).flatMap(([key, figure]) => [
    [key, rounded(figure?.median ?? null)], [`${key}Spread`, rounded(figure?.spread ?? null)]
  ]))
}

function rounded (value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(5))
}
