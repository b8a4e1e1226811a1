import { PoissonSource } from '../../data/poisson-batches.js'
import type { RowSet } from '../../data/row-set.js'
import { InvalidBatchError } from '../../errors.js'
import { epsilonOf } from '../../gl/privacy/accountant.js'
import { noiseMultiplierFor } from '../../gl/privacy/noise-multiplier.js'
import { type PrivateFits, secretOf } from '../../gl/privacy/private-gathering.js'
import type { ModelInfo } from '../../model/base-model.js'
import { predictedBy } from '../../model/tasks/tasks.js'
import { newSecret } from '../../tensor/secret-stream.js'
import type { Batch, NamedTensors } from '../../types.js'
import { rowLength } from '../row-length.js'
import type { TrainOptions } from './options.js'

/** What training is private by, and what it costs. */
export interface PrivacyReport {
  /** Of (ε, δ)-differential privacy, for neighbours that differ by one row. */
  readonly epsilon: number
  readonly delta: number
  /** Deviation of the noise of a fit, as a multiple of `clip`. */
  readonly noiseMultiplier: number
  /** The most that the gradient of one row counts for in a fit. */
  readonly clip: number
  /** Probability with which a fit takes a row. */
  readonly sampleRate: number
  /** Fits that are accounted for. */
  readonly steps: number
}

/** δ is 1 / rows^1.1 unless told otherwise. */
const DELTA_POWER = 1.1

/** How one run is private (DP-SGD, Abadi et al. 2016, arXiv 1607.00133). */
export interface Privacy {
  readonly fits: PrivateFits
  /** The batch of a step, from 0; undefined where no row was drawn. */
  readonly at: (step: number) => Promise<Batch | undefined>
  /**
   * What contributions tell in place of the predictions that counted, which would say what was drawn: what so many steps
   * have when all batches are of the usual size, and all rows full.
   */
  readonly tokensOf: (steps: number) => number
  /** What so many steps cost. */
  readonly report: (steps: number) => PrivacyReport
}

/**
 * @param rows to train on
 * @param saved what the learner of this run has saved; undefined at its beginning, when its secret is made
 * @returns undefined where training is not private
 * @throws {InvalidOptionError} if there are too few rows, or no noise is enough
 */
export function privacyOf (options: TrainOptions, rows: RowSet | undefined, info: ModelInfo, saved: NamedTensors | undefined): Privacy | undefined {
  const { dpClip: clip, dpNoise, dpEpsilon = Infinity, batchSize, interval, length } = options
  if (clip === undefined || rows === undefined) return undefined
  const secret = (saved && secretOf(saved)) ?? newSecret()
  const source = new PoissonSource(rows, { batchSize, interval, secret })
  const delta = options.dpDelta ?? rows.count ** -DELTA_POWER
  const [sampleRate, fitsOf] = [batchSize * interval / rows.count, (steps: number) => Math.ceil(steps / interval)]
  const noiseMultiplier = dpNoise ?? noiseMultiplierFor({ epsilon: dpEpsilon, delta, sampleRate, steps: fitsOf(options.steps) })
  const predictions = predictedBy(info.task) === 'tokens' ? rowLength(length, info) : 1
  return {
    fits: { clip, noiseMultiplier, batchSize, secret },
    at: async step => await source.at(step),
    tokensOf: steps => steps * batchSize * predictions,
    report: done => {
      const steps = fitsOf(done)
      return { epsilon: epsilonOf({ noiseMultiplier, sampleRate, steps }, delta), delta, noiseMultiplier, clip, sampleRate, steps }
    }
  }
}

/** For people. */
export function describePrivacy ({ epsilon, delta, noiseMultiplier, clip, sampleRate, steps }: PrivacyReport): string {
  return `ε ${epsilon.toPrecision(3)} at δ ${delta.toPrecision(3)}, for each row (noise ${noiseMultiplier.toPrecision(4)}, clip ${clip}, ${steps} fits of ${(100 * sampleRate).toPrecision(3)} % of the rows)`
}

/** A batch that was drawn must be taken whole: where a host refuses it, there is something to be done. */
export function explained (error: unknown): unknown {
  if (!(error instanceof Error) || error.name !== InvalidBatchError.name) return error
  return new InvalidBatchError(`${error.message}. With --dp-clip rows are drawn, so that batches vary in size, and none may be cut; use a smaller --batch-size with a larger --interval, or a host with a larger --max-rows`, { cause: error })
}
