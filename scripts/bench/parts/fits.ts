import { startBackend } from '../../../src/engine/backend.js'
import type { Learner } from '../../../src/gl/learner.js'
import { learnerOf, type LearnerPlan } from '../../../src/gl/learner-plan.js'
import { ThreadedLearner } from '../../../src/node/trainer/fits/threaded-learner.js'
import type { AuxiliarySpec, FloatTensor, Site, SitePair } from '../../../src/types.js'
import { figure, type Figure, ratio, readable } from '../figure.js'
import { type Contestant, interleaved, timed, valuesOf } from '../interleaved.js'
import { definePart, type PartContext, runsOption } from '../part.js'
import { LORA } from '../random-adapter.js'
import { uniform } from '../uniform.js'

/** Of GPT-2 small. */
const BLOCKS = 12
const SITES: readonly Site[] = Array.from({ length: BLOCKS }, (_, block) => ({ name: `transformer.h.${block}.attn.c_attn`, inFeatures: 768, outFeatures: 2304 }))

const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }

/** In which fits are done: in the thread that also has the data come, or in others. */
const THREADS = [1, 2] as const

/**
 * What a trainer does with the adaptation data of a step, pairs (x, ∇ĥ) at every c_attn of GPT-2 small: it gathers all sites, and fits.
 * The data are at hand. A ratio is one thread's time over that of two, run by run: above 1 two are faster. Each kind's
 * learners are gone before the next kind's begin.
 */
export const fits = definePart({
  name: 'fits',
  describe: `a fit from x and ∇ĥ of ${BLOCKS} modules of 768 x 2304, in one thread and in two`,
  options: {
    runs: runsOption(5),
    tokens: { type: 'integer', min: 1, default: 512, describe: 'tokens in a batch' }
  },
  measure: async ({ runs, tokens }, context) => {
    const pairs = pairsOf(tokens)
    const lowRank = await compared(LORA, pairs, runs, context)
    const linear = await compared(LINEAR, pairs, runs, context)
    return {
      head: ['', 'ms, 1 thread', 'ms, 2 threads', '1 over 2'],
      rows: Object.entries({ [`rank ${LORA.rank}`]: lowRank, linear }).map(([kind, { one, two, ratio }]) => [kind, readable(one), readable(two), readable(ratio)]),
      figures: {
        ratioFitThreads2: lowRank.ratio,
        fitThreads1Ms: lowRank.one,
        fitThreads2Ms: lowRank.two,
        linearRatioFitThreads2: linear.ratio,
        linearFitThreads1Ms: linear.one,
        linearFitThreads2Ms: linear.two
      }
    }
  }
})

async function compared (spec: AuxiliarySpec, pairs: ReadonlyMap<string, SitePair>, runs: number, { signal, log }: PartContext): Promise<Readonly<Record<'one' | 'two' | 'ratio', Figure>>> {
  const { name: backend } = await startBackend()
  const plan: LearnerPlan = {
    auxiliaries: SITES.map(site => ({ site, spec, start: { seed: 0 } })),
    optimizer: { kind: 'adamw', weightDecay: 5e-4 },
    schedule: { kind: 'constant', rate: 1e-4, fits: Number.MAX_SAFE_INTEGER },
    interval: 1
  }
  const learners: Learner[] = []
  try {
    const contestants: Array<Contestant<number>> = []
    for (const threads of THREADS) {
      const learner = threads === 1 ? learnerOf(plan) : await ThreadedLearner.start(plan, { threads, backend })
      learners.push(learner)
      contestants.push({ name: nameOf(spec, threads), run: async () => await timed(async () => await fit(learner, pairs)) })
    }
    const measured = await interleaved(contestants, { runs, signal, log, leadIn: false, show: value => `${value.toFixed(0)} ms` })
    const [one, two] = THREADS.map(threads => valuesOf(measured, nameOf(spec, threads)))
    return { one: figure(one), two: figure(two), ratio: ratio(one, two) }
  } finally {
    for (const learner of learners) await learner.dispose()
  }
}

async function fit (learner: Learner, pairs: ReadonlyMap<string, SitePair>): Promise<void> {
  for (const [site, pair] of pairs) await learner.gather(site, pair)
  await learner.endBatch()
  await learner.fit()
}

function pairsOf (tokens: number): ReadonlyMap<string, SitePair> {
  const random = uniform(1)
  const tensor = (features: number): FloatTensor => ({ shape: [tokens, features], values: Float32Array.from({ length: tokens * features }, random) })
  return new Map(SITES.map(({ name, inFeatures, outFeatures }) => [name, { x: tensor(inFeatures), gradient: tensor(outFeatures) }]))
}

function nameOf ({ kind }: AuxiliarySpec, threads: number): string {
  return `${kind}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`
}
