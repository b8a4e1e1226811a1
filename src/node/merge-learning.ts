import type { Batches } from '../data/batches.js'
import { Auxiliary } from '../gl/auxiliary.js'
import { GradientLearner } from '../gl/gradient-learner.js'
import { Optimizer } from '../gl/optimizer.js'
import type { Adapter } from '../gl/peft/adapter.js'
import { createSchedule, type Schedule } from '../gl/schedule.js'
import { WeightLearner } from '../gl/weight-learner.js'
import { type ScaledDelta, sumOfDeltas } from '../merge/sum-of-deltas.js'
import type { Delta } from '../merge/truncate.js'
import type { BaseModel } from '../model/base-model.js'
import type { WeightChange } from '../model/merge.js'
import type { AuxiliarySpec, Site } from '../types.js'
import { evaluateRows, scoresOf } from './evaluation.js'
import { changesOf } from './host/weight-changes.js'
import type { Reporter } from './reporter.js'

export interface MergeLearningInit {
  readonly model: BaseModel
  /** All that any of the adapters has. */
  readonly sites: readonly Site[]
  readonly adapters: readonly Adapter[]
  /** c_k at the start. */
  readonly weights: readonly number[]
  /** Rank of a fresh auxiliary that is fitted beside them. @default there is none */
  readonly fitRank?: number
  /** By number, from 0. */
  readonly batches: Pick<Batches, 'at'>
  readonly heldOut: Batches
  readonly steps: number
  /** The highest learning rate of the weights. */
  readonly rate: number
  /** Of the fresh auxiliary. */
  readonly fitRate: number
  readonly seed: number
  readonly reporter: Reporter
  readonly signal: AbortSignal
}

/** What came of learning on validation data. Losses are of the whole model on a held-out share of them. */
export interface LearnedMerge {
  readonly weights: readonly number[]
  readonly loss: { readonly before: number, readonly after: number }
  /** Whether the learned has the lower loss, or what was given stands. */
  readonly kept: 'learned' | 'given'
  readonly deltas: ReadonlyMap<string, Delta>
}

/**
 * After merging, Gradient Learning on a little validation data: how much each adapter counts, and where it is asked for a
 * short fit of one more auxiliary against what they do to each other. Both learn from the same (x, ∇ĥ) of passes with all of
 * it merged into θ.
 *
 * @throws {NonFiniteError} if a loss or a gradient is not finite
 * @throws the signal's reason when it ends
 */
export async function learnMerge (init: MergeLearningInit): Promise<LearnedMerge> {
  const { model, sites, adapters, weights, batches, heldOut, steps, rate, reporter, signal } = init
  const deltas = adapters.map(({ spec, tensors }) => changesOf(spec, tensors, sites.filter(({ name }) => tensors.has(name))))
  const lossOf = async (sum: ReadonlyMap<string, Delta>, what: string): Promise<number> => {
    await model.merge(unscaled(sum))
    return scoresOf(await evaluateRows(model, heldOut, { signal, onProgress: done => reporter.progress(what, done, heldOut.count) })).loss
  }
  const given = sumOfDeltas(deltas, weights)
  const before = await lossOf(given, 'loss before')
  const learner = new WeightLearner({ sites, adapters, start: weights, optimizer: new Optimizer('adamw', 0), schedule: scheduleOf(rate, steps), interval: 1 })
  const fresh = freshOf(init)
  const sum = async (): Promise<Map<string, Delta>> => await currentSum(deltas, learner, fresh, sites)
  try {
    for (let step = 0; step < steps; step++) {
      signal.throwIfAborted()
      await model.merge(unscaled(await sum()))
      const [{ loss, pairs }] = await model.pass([await batches.at(step)], { sites })
      for (const [site, pair] of pairs) {
        learner.gather(site, pair)
        fresh?.learner.gather(site, pair)
      }
      learner.endBatch()
      fresh?.learner.endBatch()
      await learner.fit()
      await fresh?.learner.fit()
      reporter.progress('learning weights', step + 1, steps, `loss ${loss.toFixed(4)}`)
    }
    const learned = await sum()
    const after = await lossOf(learned, 'loss after')
    const better = after < before
    return { weights: better ? await learner.weights() : weights, loss: { before, after }, kept: better ? 'learned' : 'given', deltas: better ? learned : given }
  } finally {
    learner.dispose()
    fresh?.learner.dispose()
  }
}

/** An auxiliary at every site, and what fits it. */
interface Fresh {
  readonly spec: AuxiliarySpec
  readonly learner: GradientLearner
}

function freshOf ({ sites, fitRank, fitRate, steps, seed }: MergeLearningInit): Fresh | undefined {
  if (fitRank === undefined) return undefined
  const spec = { kind: 'low-rank', rank: fitRank, alpha: fitRank } as const
  return {
    spec,
    learner: new GradientLearner({
      auxiliaries: sites.map(site => new Auxiliary(spec, site, { seed })),
      optimizer: new Optimizer('adamw', 0),
      schedule: scheduleOf(fitRate, steps),
      interval: 1
    })
  }
}

function scheduleOf (rate: number, fits: number): Schedule {
  return createSchedule({ kind: 'linear', rate, fits })
}

async function currentSum (deltas: ReadonlyArray<ReadonlyMap<string, ScaledDelta>>, learner: WeightLearner, fresh: Fresh | undefined, sites: readonly Site[]): Promise<Map<string, Delta>> {
  const weights = await learner.weights()
  if (fresh === undefined) return sumOfDeltas(deltas, weights)
  return sumOfDeltas([...deltas, changesOf(fresh.spec, await fresh.learner.adapter(), sites)], [...weights, 1])
}

function unscaled (sum: ReadonlyMap<string, Delta>): Map<string, WeightChange> {
  return new Map([...sum].map(([site, delta]) => [site, { ...delta, scale: 1 }]))
}
