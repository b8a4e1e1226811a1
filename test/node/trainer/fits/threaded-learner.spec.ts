import type { Worker } from 'node:worker_threads'
import { expect } from 'chai'
import { type BackendName, startBackend } from '../../../../src/engine/backend.js'
import { parameterShapes } from '../../../../src/gl/auxiliary.js'
import { CLIPS } from '../../../../src/gl/clip.js'
import type { Fit, Learner } from '../../../../src/gl/learner.js'
import { type AuxiliaryPlan, learnerOf, type LearnerPlan } from '../../../../src/gl/learner-plan.js'
import { OPTIMIZERS } from '../../../../src/gl/optimizer.js'
import { SCHEDULES } from '../../../../src/gl/schedule.js'
import { ThreadedLearner } from '../../../../src/node/trainer/fits/threaded-learner.js'
import { decodeSafetensors, encodeSafetensors } from '../../../../src/tensor/safetensors.js'
import { type AdapterTensors, AUXILIARY_KINDS, type AuxiliaryKind, type AuxiliarySpec, type NamedTensors, type Site, type SiteData, type SitePair, type TensorData } from '../../../../src/types.js'
import { SITES, uniform } from '../../../gl/adaptation.js'
import { isPossible } from '../../../gl/possible.js'
import { randomAuxiliary } from '../../../gl/random-auxiliary.js'
import { seeded } from '../../../merge/random.js'
import { failureOf } from '../../../support/failure.js'

type Data = ReadonlyMap<string, SiteData>

const MORE: readonly Site[] = [...SITES, { name: 'h.0', inFeatures: 5, outFeatures: 3 }, { name: 'h.0.wide.weight', inFeatures: 2, outFeatures: 2, places: 'target' }, { name: 'wte', inFeatures: 11, outFeatures: 4, embedding: true }]
const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 3 }
const [FIRST, SECOND] = SITES

function pick<T> (choices: readonly T[], random: () => number): T {
  return choices[Math.floor(random() * choices.length)]
}

function pairOf ({ inFeatures, outFeatures, embedding = false }: Site, tokens: number, random: () => number): SitePair {
  const x: TensorData = embedding ? { shape: [tokens, 1], values: Int32Array.from({ length: tokens }, () => Math.floor(random() * inFeatures)) } : uniform([tokens, inFeatures], random)
  const [gradient, output] = [uniform([tokens, outFeatures], random), uniform([tokens, outFeatures], random)]
  const { values } = uniform([outFeatures], random)
  return { x, gradient, output, norm: { shape: [outFeatures], values: values.map(value => value + 2) } }
}

/** Pairs, or of low-rank auxiliaries as often what they do to factors, the sites in any order. */
function batchOf ({ auxiliaries }: LearnerPlan, random: () => number): Data {
  const data = auxiliaries.map(({ site, spec }): [string, SiteData] =>
    [site.name, spec.kind === 'low-rank' && random() < 0.5 ? { factors: randomAuxiliary(spec, site, random) } : pairOf(site, 1 + Math.floor(random() * 5), random)])
  return new Map(data.sort(() => random() - 0.5))
}

function plansOf (spec: AuxiliarySpec, sites: readonly Site[], random: () => number): AuxiliaryPlan[] {
  return sites.filter(site => isPossible(spec.kind, site)).map(site => ({ site, spec, start: { tensors: randomAuxiliary(spec, site, random) } }))
}

/** All that decides the numbers, as the seed says. */
function randomPlan (kind: AuxiliaryKind, random: () => number): LearnerPlan {
  const spec: AuxiliarySpec = { kind, rank: 2, alpha: 3, ranks: { [SECOND.name]: 1 }, rankStabilised: random() < 0.5 }
  return {
    auxiliaries: plansOf(spec, MORE, random),
    optimizer: { kind: pick(OPTIMIZERS, random), weightDecay: 0.01 },
    schedule: { kind: pick(SCHEDULES, random), rate: 0.1, fits: 5 },
    interval: 1 + Math.floor(random() * 3),
    clip: pick(CLIPS, random),
    maxNorm: pick([0.5, 5, Infinity], random)
  }
}

function planOf (change: Partial<LearnerPlan> = {}): LearnerPlan {
  return { auxiliaries: plansOf(SPEC, SITES, seeded(1)), optimizer: { kind: 'adamw', weightDecay: 0.01 }, schedule: { kind: 'constant', rate: 0.1, fits: 9 }, interval: 2, maxNorm: 1, ...change }
}

/** A trainer's loop: fits whenever an interval is full. */
async function train (learner: Learner, batches: readonly Data[], weight?: number): Promise<Array<Fit | undefined>> {
  const fits = []
  for (const batch of batches) {
    learner.beginBatch(new Int32Array())
    for (const [site, data] of batch) await learner.gather(site, data)
    await learner.endBatch(weight)
    if (learner.ready) fits.push(await learner.fit())
  }
  return fits
}

interface Snapshot {
  readonly adapter: AdapterTensors
  readonly contributed: AdapterTensors
  readonly state: NamedTensors
  readonly fits: number
  readonly ready: boolean
}

async function snapshot (learner: Learner): Promise<Snapshot> {
  return { adapter: await learner.adapter(), contributed: await learner.contributed(), state: await learner.state(), fits: learner.fits, ready: learner.ready }
}

describe('fits: a learner in several threads', function () {
  this.timeout(120_000)
  let backend: BackendName
  const opened: ThreadedLearner[] = []

  before(async () => { backend = (await startBackend()).name })
  afterEach(async () => { for (const learner of opened.splice(0)) await learner.dispose() })

  async function threaded (plan: LearnerPlan, threads: number): Promise<ThreadedLearner> {
    const learner = await ThreadedLearner.start(plan, { threads, backend })
    opened.push(learner)
    return learner
  }

  /** What it does to the one is what it does to the other, from beginning to end, and across a checkpoint of either. */
  async function expectEqual (plan: LearnerPlan, threads: number, random: () => number): Promise<void> {
    const [one, many] = [learnerOf(plan), await threaded(plan, threads)]
    const batches = Array.from({ length: 3 * plan.interval + 1 }, () => batchOf(plan, random))
    expect(await snapshot(many), 'at the start').to.deep.equal(await snapshot(one))
    const half = plan.interval + 1
    expect(await train(many, batches.slice(0, half))).to.deep.equal(await train(one, batches.slice(0, half)))
    const middle = await snapshot(one)
    expect(await snapshot(many), 'in the middle').to.deep.equal(middle)
    expect([...(await many.adapter()).keys()], 'in the order of the sites').to.deep.equal([...middle.adapter.keys()])
    const saved = encodeSafetensors(await many.state())
    expect(await train(many, batches.slice(half), 0.7)).to.deep.equal(await train(one, batches.slice(half), 0.7))
    expect(await many.fit(), 'the last interval').to.deep.equal(await one.fit())
    expect(await many.fit(), 'nothing').to.equal(undefined)
    const end = await snapshot(one)
    expect(await snapshot(many), 'at the end').to.deep.equal(end)
    for (const [learner, state] of [[one, decodeSafetensors(saved).tensors], [many, middle.state]] as const) {
      await learner.restore(state)
      await learner.assign(middle.adapter)
      expect(await snapshot(learner), 'where it goes on').to.deep.equal(middle)
      await train(learner, batches.slice(half), 0.7)
      await learner.fit()
      expect(await snapshot(learner), 'at the end again').to.deep.equal(end)
    }
    one.dispose()
  }

  for (const [i, kind] of AUXILIARY_KINDS.entries()) {
    const threads = 1 + i % 4
    it(`is one learner, to the bit: ${kind}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`, async () => {
      const random = seeded(10 + i)
      await expectEqual(randomPlan(kind, random), threads, random)
    })
  }

  it('is one learner, to the bit, beside earlier auxiliaries whose weights are learned', async () => {
    const random = seeded(3)
    const auxiliaries = planOf().auxiliaries.map(({ site, spec, start }): AuxiliaryPlan => {
      const { inFeatures, outFeatures } = site
      const earlier = [1, 2].map(rank => ({ scale: 0.5, a: uniform([rank, inFeatures], random), b: uniform([outFeatures, rank], random) }))
      return { site, spec, start, beside: { earlier, composition: 'learned' } }
    })
    const plan = planOf({ auxiliaries })
    const pairs = { ...plan, auxiliaries: auxiliaries.map(auxiliary => ({ ...auxiliary, spec: { ...SPEC, rank: 5, ranks: {} } })) } // the whole's factors
    const [one, many] = [learnerOf(plan), await threaded(plan, 2)]
    const batches = Array.from({ length: 4 }, () => batchOf(pairs, random))
    expect(await train(many, batches)).to.deep.equal(await train(one, batches))
    expect(await snapshot(many)).to.deep.equal(await snapshot(one))
    one.dispose()
  })

  describe('refuses, and stays exactly as it was:', () => {
    let learner: ThreadedLearner
    const plan = planOf()
    const batches = Array.from({ length: 2 }, (_, i) => new Map(SITES.map(site => [site.name, pairOf(site, 4, seeded(20 + i))])))
    const [whole] = batches
    const first = whole.get(FIRST.name)!
    const spoilt = (change: (values: Float32Array) => Float32Array): SitePair => ({ ...first, gradient: { ...first.gradient, values: change(first.gradient.values) } })

    before(async () => { learner = await ThreadedLearner.start(plan, { threads: 2, backend }) })
    after(async () => { await learner.dispose() })

    async function gatherAll (batch: Data): Promise<void> {
      for (const [site, data] of batch) await learner.gather(site, data)
      await learner.endBatch()
    }

    async function expectRefused (name: string, disturb: () => Promise<void>): Promise<void> {
      await train(learner, batches.slice(0, learner.ready ? 0 : 1))
      const before = await snapshot(learner)
      const error = await failureOf(disturb())
      expect(error.name).to.equal(name)
      expect(error.message).to.not.be.empty
      learner.dropBatch()
      expect(await snapshot(learner)).to.deep.equal(before)
      expect(await train(learner, batches.slice(1)), 'and goes on').to.not.include(undefined)
    }

    const refused: Record<string, readonly [name: string, disturb: () => Promise<void>]> = {
      'values that are not finite': ['NonFiniteError', async () => await gatherAll(new Map([...whole, [FIRST.name, spoilt(values => values.with(1, NaN))]]))],
      'a gradient in another shape': ['InvalidTensorError', async () => await gatherAll(new Map([...whole, [FIRST.name, { ...first, gradient: uniform([4, 1], seeded(1)) }]]))],
      'a site of nobody': ['UnknownSiteError', async () => await learner.gather('h.9', first)],
      'a site twice': ['UnknownSiteError', async () => {
        await learner.gather(FIRST.name, first)
        await learner.gather(FIRST.name, first)
      }],
      'a batch without one of its sites': ['UnknownSiteError', async () => await gatherAll(new Map([...whole].slice(1)))],
      'an adapter with another site': ['InvalidAdapterError', async () => await learner.assign(new Map([...await learner.adapter(), ['h.9', new Map()]]))],
      'an adapter without one of its sites': ['InvalidAdapterError', async () => await learner.assign(new Map([...(await learner.adapter())].slice(0, -1)))],
      'an adapter of another rank': ['InvalidAdapterError', async () => await learner.assign(new Map(SITES.map((site, i) => [site.name, randomAuxiliary({ ...SPEC, rank: i === 2 ? 3 : 2 }, site, seeded(1))])))]
    }
    for (const [what, [name, disturb]] of Object.entries(refused)) {
      it(what, async () => { await expectRefused(name, disturb) })
    }

    it('gradients whose norm is not finite, of which nothing is left', async () => {
      const before = await snapshot(learner)
      await gatherAll(new Map([...whole, [FIRST.name, spoilt(values => values.map(value => value * 1e38))]]))
      expect((await failureOf(learner.fit())).name).to.equal('NonFiniteError')
      expect((await snapshot(learner)).adapter).to.deep.equal(before.adapter)
      expect(await learner.fit()).to.equal(undefined)
    })

    it('forgets a batch that is dropped while its sites are looked at', async () => {
      const before = await snapshot(learner)
      await learner.gather(FIRST.name, spoilt(values => values.with(0, Infinity)))
      await learner.gather(SECOND.name, whole.get(SECOND.name)!)
      learner.dropBatch()
      expect(await snapshot(learner)).to.deep.equal(before)
      await gatherAll(whole)
      expect(await learner.fit()).to.not.equal(undefined)
    })
  })

  it('leaves what it is given to the caller', async () => {
    const learner = await threaded(planOf(), 2)
    const made = (): Data => batchOf(planOf(), seeded(4))
    const batch = made()
    await train(learner, [batch])
    const [adapter, state] = [await learner.adapter(), await learner.state()]
    expect(batch).to.deep.equal(made())
    await learner.assign(adapter)
    await learner.restore(state)
    await train(learner, [made(), made()])
    expect(adapter).to.not.deep.equal(await learner.adapter())
    await learner.restore(state)
    await learner.assign(adapter)
    expect(await snapshot(learner)).to.deep.include({ adapter, state })
  })

  describe('has threads', () => {
    const workers: Worker[] = []
    const onWorker = (worker: Worker): void => { workers.push(worker) }
    beforeEach(() => { process.on('worker', onWorker) })
    afterEach(() => {
      process.off('worker', onWorker)
      workers.length = 0
    })

    /** A thread that has ended has no number any more. */
    const running = (): number => workers.filter(({ threadId }) => threadId !== -1).length

    it('none more than auxiliaries, and none once it is disposed of: those who wait are told', async () => {
      const learner = await threaded(planOf({ auxiliaries: planOf().auxiliaries.slice(1) }), 3)
      expect([workers.length, running()]).to.deep.equal([2, 2])
      const waiting = failureOf(learner.adapter())
      await learner.dispose()
      expect((await waiting).name).to.equal('EngineError')
      expect(running()).to.equal(0)
      expect((await failureOf(learner.fit().then(async () => await learner.state()))).message).to.include('closed')
      await learner.dispose()
    })

    it('of which one that ends is an error that says so, now and later', async () => {
      const learner = await threaded(planOf(), 2)
      expect(learner.failure).to.equal(undefined)
      const { name } = FIRST
      const waiting = failureOf(train(learner, Array.from({ length: 1000 }, () => batchOf(planOf(), seeded(5)))))
      await workers[0].terminate()
      const error = await waiting
      expect(error.name).to.equal('EngineError')
      expect(error.message).to.include(name).and.include('ended')
      expect(learner.failure).to.equal(error)
      learner.dropBatch()
      expect(await failureOf(learner.adapter())).to.equal(error)
      await learner.dispose()
      expect(running()).to.equal(0)
    })

    it('none where one cannot begin', async () => {
      const [first, ...others] = planOf().auxiliaries
      const wrong = { ...first, start: { tensors: new Map([...parameterShapes(SPEC, FIRST)].map(([name]) => [name, uniform([1, 1], seeded(1))])) } }
      expect((await failureOf(ThreadedLearner.start(planOf({ auxiliaries: [wrong, ...others] }), { threads: 2, backend }))).name).to.equal('InvalidAdapterError')
      expect([workers.length, running()]).to.deep.equal([2, 0])
    })
  })

  it('is none of private fits', async () => {
    const privacy = { clip: 1, noiseMultiplier: 1, batchSize: 1, secret: new Uint8Array(32) }
    expect((await failureOf(ThreadedLearner.start(planOf({ privacy }), { threads: 2, backend }))).name).to.equal('InvalidOptionError')
  })
})
