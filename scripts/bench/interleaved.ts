export interface Contestant<T> {
  readonly name: string
  /** One run. @returns what was measured of it */
  readonly run: () => Promise<T>
}

export interface InterleavedOptions<T> {
  readonly runs: number
  readonly signal: AbortSignal
  readonly log: (line: string) => void
  /** For people, as progress. */
  readonly show: (value: T) => string
  /** Rounds that do not count, at first. @default 1: ONNX Runtime compiles in the first run of a shape */
  readonly warmUps?: number
  /**
   * Whether each turn begins with a run that does not count. What a contestant has not touched while the others ran may have
   * left the caches, and systems that reclaim memory early have dropped its mapped weights.
   *
   * @default true
   */
  readonly leadIn?: boolean
}

/**
 * Measures in turns, A B C A B C …, so that what disturbs the machine for a while disturbs all.
 *
 * @returns what was measured, by name, in the order of the runs
 */
export async function interleaved<T> (
  contestants: ReadonlyArray<Contestant<T>>, { runs, signal, log, show, warmUps = 1, leadIn = true }: InterleavedOptions<T>
): Promise<ReadonlyMap<string, readonly T[]>> {
  const values = new Map<string, T[]>(contestants.map(({ name }) => [name, []]))
  for (let i = -warmUps; i < runs; i++) {
    for (const { name, run } of contestants) {
      if (leadIn) await run()
      signal.throwIfAborted()
      const value = await run()
      if (i >= 0) values.get(name)?.push(value)
      log(`${i < 0 ? 'warm-up' : `run ${i + 1} of ${runs}`}: ${name} ${show(value)}`)
    }
  }
  return values
}

/** What was measured under a name. */
export function valuesOf<T> (measured: ReadonlyMap<string, readonly T[]>, name: string): readonly T[] {
  const values = measured.get(name)
  if (values === undefined) throw new Error(`nothing was measured of ${name}`)
  return values
}

/** Milliseconds that the work takes. */
export async function timed (work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}
