/** Of one number, measured with each seed. */
export interface Statistic {
  readonly mean: number
  /** Standard deviation between seeds, of a sample; null where there is one seed. */
  readonly deviation: number | null
}

/** @param values one at least */
export function statistic (values: readonly number[]): Statistic {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  if (values.length === 1) return { mean, deviation: null }
  return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)) }
}

/** For people: `2.4497 ± 0.0121`. */
export function readable ({ mean, deviation }: Statistic): string {
  return `${mean.toFixed(4)}${deviation === null ? '' : ` ± ${deviation.toFixed(4)}`}`
}
