import { Auxiliary } from '../../src/gl/auxiliary.js'
import { hasFactors } from '../../src/gl/factor-gradients.js'
import { hasProduct } from '../../src/gl/products.js'
import { GradientLearner } from '../../src/gl/gradient-learner.js'
import { Optimizer } from '../../src/gl/optimizer.js'
import type { AdaptationData, AdapterTensors, AuxiliarySpec, WireForm } from '../../src/types.js'
import { sumOfAdapters } from './sum-of-adapters.js'
import type { Trainer } from './trainer.js'

/** What a fit moves a parameter for a gradient of 1: so much that of the parameter nothing is left but what was moved. */
export const RATE = 2 ** 20

/** What the first step of SGD with Nesterov's momentum of 0.9 moves, for a rate and a gradient of 1: the gradient, and 0.9 of it. */
const FIRST_STEP = 1.9

/** A learner of what the trainer fits, from what it has contributed. */
export function learnerOf ({ joined: { job: { interval } }, sites, spec, adapter }: Trainer): GradientLearner {
  return new GradientLearner({
    auxiliaries: sites.map(site => new Auxiliary(spec, site, { tensors: adapter.get(site.name) ?? new Map() })),
    optimizer: new Optimizer('sgd', 0),
    schedule: () => RATE / FIRST_STEP,
    interval
  })
}

/** Has the learner take one batch's adaptation data. */
export function gatherBatch (learner: GradientLearner, data: AdaptationData): void {
  for (const [site, own] of data) learner.gather(site, own)
  learner.endBatch()
}

/**
 * The gradient by which a fit moves each parameter, from the adaptation data of its interval's batches: seen from outside, by
 * what a step of the optimiser changes.
 */
export async function fittedGradients (trainer: Trainer, batches: readonly AdaptationData[]): Promise<AdapterTensors> {
  const { interval } = trainer.joined.job
  const learner = learnerOf(trainer)
  for (const [i, data] of batches.entries()) {
    if (learner.ready) throw new Error(`an interval of ${interval} batches is full after ${i}`)
    gatherBatch(learner, data)
  }
  if (!learner.ready) throw new Error(`an interval of ${interval} batches is not full after ${batches.length}`)
  await learner.fit()
  const after = await learner.adapter()
  learner.dispose()
  return sumOfAdapters([{ adapter: after, weightAt: () => -1 / RATE }, { adapter: trainer.adapter, weightAt: () => 1 / RATE }])
}

/** In which adaptation data can cross the wire without being rounded. */
export function exactForms (spec: AuxiliarySpec): WireForm[] {
  return ['f32', ...(hasFactors(spec) ? ['factors'] as const : []), ...(hasProduct(spec) ? ['product'] as const : [])]
}
