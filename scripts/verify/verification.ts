import type { Case, Proposition } from './proposition.js'
import { Scene, type SceneContext } from './scene.js'

/** What became of a proposition. */
export interface Verdict {
  readonly proposition: Proposition
  readonly cases: number
  /** The case with the largest error; undefined where there was none, and so nothing was shown. */
  readonly worst: Case | undefined
  readonly ok: boolean
}

/**
 * Goes through the seeds. A case that cannot be computed does not hold.
 *
 * @param done is told of each seed that is through
 */
export async function verify (proposition: Proposition, seeds: readonly number[], context: SceneContext & { readonly signal: AbortSignal }, done: () => void): Promise<Verdict> {
  let [cases, worst]: [number, Case | undefined] = [0, undefined]
  for (const seed of seeds) {
    for await (const one of casesOf(proposition, seed, context)) {
      context.signal.throwIfAborted()
      cases++
      if (worst === undefined || !(one.error <= worst.error)) worst = one // what is not a number is worst
      if (Number.isNaN(worst.error)) worst = { ...worst, error: Infinity }
    }
    done()
  }
  return { proposition, cases, worst, ok: worst !== undefined && worst.error <= proposition.bound }
}

async function * casesOf (proposition: Proposition, seed: number, context: SceneContext): AsyncGenerator<Case> {
  try {
    const scene = await Scene.open(proposition.name, seed, context)
    try {
      yield * proposition.cases(scene)
    } finally {
      await scene.dispose()
    }
  } catch (thrown) {
    const error = thrown as Error
    context.log(error.stack ?? error.message)
    yield { name: `seed ${seed}: ${error.name}: ${error.message}`, error: Infinity }
  }
}
