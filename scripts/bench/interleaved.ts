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
  /** Runs of each that do not count. @default 2: ONNX Runtime compiles in the first run of a shape, and takes its memory anew in the second */
  readonly warmUps?: number
}

/**
 * Measures in turns, A B C A B C …, so that what disturbs the machine for a while disturbs all.
 *
 * @returns what was measured, by name, in the order of the runs
 */
export async function interleaved<T> (
  contestants: ReadonlyArray<Contestant<T>>, { runs, signal, log, show, warmUps = 2 }: InterleavedOptions<T>
): Promise<ReadonlyMap<string, readonly T[]>> {
  const values = new Map<string, T[]>(contestants.map(({ name }) => [name, []]))
  for (let i = -warmUps; i < runs; i++) {
    const said: string[] = []
    for (const { name, run } of contestants) {
      signal.throwIfAborted()
      const value = await run()
      if (i >= 0) values.get(name)?.push(value)
      said.push(`${name} ${show(value)}`)
    }
    log(`${i < 0 ? 'warm-up' : `run ${i + 1} of ${runs}`}: ${said.join(', ')}`)
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
