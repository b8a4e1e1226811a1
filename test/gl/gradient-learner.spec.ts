import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import { GradientLearner, type GradientLearnerInit } from '../../src/gl/gradient-learner.js'
import { Optimizer, type OptimizerKind, OPTIMIZERS } from '../../src/gl/optimizer.js'
import { decodeSafetensors, encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { AdaptationData, AdapterTensors, AuxiliarySpec, FloatTensor, Site, SiteData, SiteFactors } from '../../src/types.js'
import { rejection } from '../data/folder.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { type FloatPair, randomAdapter, randomData, SITES, uniform } from './adaptation.js'
import { differentiatedFactors } from './differentiated-factors.js'

const SPECS: readonly AuxiliarySpec[] = [{ kind: 'low-rank', rank: 2, alpha: 4 }, { kind: 'linear', rank: 1, alpha: 2 }]
const SPEC = SPECS[0]
const [FIRST] = SITES

interface Options extends Partial<Pick<GradientLearnerInit, 'interval' | 'maxNorm' | 'clip' | 'schedule'>> {
  readonly spec?: AuxiliarySpec
  readonly optimizer?: OptimizerKind
  readonly adapter?: AdapterTensors
}

function learnerOf ({ spec = SPEC, optimizer = 'sgd', adapter = randomAdapter(spec, SITES, seeded(1)), ...init }: Options = {}): GradientLearner {
  return new GradientLearner({
    auxiliaries: SITES.map(site => new Auxiliary(spec, site, { tensors: adapter.get(site.name)! })),
    optimizer: new Optimizer(optimizer, 0.01),
    schedule: fit => 0.1 / (fit + 1),
    interval: 1,
    ...init
  })
}

type PairedData = ReadonlyMap<string, FloatPair>

/** Batches of adaptation data that their number decides. */
function batches (count: number, tokens = 4): PairedData[] {
  return Array.from({ length: count }, (_, i) => randomData(SITES, tokens, seeded(100 + i)))
}

function gatherBatch (learner: GradientLearner, data: AdaptationData): void {
  for (const [site, own] of data) learner.gather(site, own)
  learner.endBatch()
}

/** A trainer's loop: fits whenever an interval is full. */
async function train (learner: GradientLearner, data: readonly AdaptationData[]): Promise<void> {
  for (const batch of data) {
    gatherBatch(learner, batch)
    if (learner.ready) await learner.fit()
  }
}

/** All that a learner is made of, as bytes. */
async function snapshot (learner: GradientLearner): Promise<{ adapter: AdapterTensors, state: Buffer }> {
  return { adapter: await learner.adapter(), state: Buffer.from(encodeSafetensors(await learner.state())) }
}

function flat (adapter: AdapterTensors): number[] {
  return [...adapter.values()].flatMap(own => [...own.values()].flatMap(({ values }) => [...values]))
}

const differences = (a: AdapterTensors, b: AdapterTensors): number[] => {
  const other = flat(b)
  return flat(a).map((value, i) => value - other[i])
}

/** Some batches as one: all their tokens, one after the other. */
function together (data: readonly PairedData[]): PairedData {
  const concat = (tensors: readonly FloatTensor[]): FloatTensor => ({
    shape: [tensors.reduce((sum, { shape }) => sum + shape[0], 0), tensors[0].shape[1]],
    values: Float32Array.from(tensors.flatMap(({ values }) => [...values]))
  })
  return new Map([...data[0].keys()].map(site => {
    const own = data.map(batch => batch.get(site)!)
    return [site, { x: concat(own.map(({ x }) => x)), gradient: concat(own.map(({ gradient }) => gradient)) }]
  }))
}

/** What pairs do to the factors of the adapter. */
function factorsOf (adapter: AdapterTensors, data: PairedData): Map<string, SiteFactors> {
  return new Map(SITES.map(site => [site.name, differentiatedFactors(SPEC, site, adapter.get(site.name)!, data.get(site.name)!)]))
}

function change (data: FloatPair, which: keyof FloatPair, tensor: Partial<FloatTensor>): FloatPair {
  return { ...data, [which]: { ...data[which], ...tensor } }
}

describe('gl: the learner', () => {
  before(async () => { await startBackend() })

  for (const spec of SPECS) {
    for (const optimizer of OPTIMIZERS) {
      it(`fits an interval as it would fit all its rows in one batch, ${spec.kind}, ${optimizer}`, async () => {
        const data = batches(6)
        const [many, one] = [learnerOf({ spec, optimizer, interval: 3 }), learnerOf({ spec, optimizer })]
        await train(many, data)
        await train(one, [together(data.slice(0, 3)), together(data.slice(3))])
        expect(many.fits).to.equal(2)
        expect(relativeError(flat(await many.adapter()), flat(await one.adapter()))).to.be.below(1e-6)
        expect(relativeError(flat(await many.adapter()), flat(randomAdapter(spec, SITES, seeded(1))))).to.be.above(1e-3)
        many.dispose()
        one.dispose()
      })

      it(`goes on from a saved state bit for bit, wherever in an interval it was saved, ${spec.kind}, ${optimizer}`, async () => {
        const data = batches(8)
        const options = { spec, optimizer, interval: 3, maxNorm: 5 }
        const learner = learnerOf(options)
        const saved = [await snapshot(learner)]
        for (const batch of data) {
          await train(learner, [batch])
          saved.push(await snapshot(learner))
        }
        await learner.fit()
        const end = await snapshot(learner)
        for (const [done, { adapter, state }] of saved.entries()) {
          const restored = learnerOf({ ...options, adapter })
          restored.restore(decodeSafetensors(state).tensors)
          expect(await snapshot(restored), 'as it was saved').to.deep.equal({ adapter, state })
          await train(restored, data.slice(done))
          await restored.fit()
          expect(await snapshot(restored), `after ${done} batches`).to.deep.equal(end)
          expect(restored.fits).to.equal(3)
          restored.dispose()
        }
        learner.dispose()
      })
    }
  }

  it('forgets what it did when it is restored', async () => {
    const [learner, other] = [learnerOf({ interval: 2 }), learnerOf({ interval: 2 })]
    await train(learner, batches(3))
    const { adapter, state } = await snapshot(learner)
    await train(other, batches(6).slice(3))
    other.gather(FIRST.name, batches(1)[0].get(FIRST.name)!)
    other.restore(decodeSafetensors(state).tensors)
    other.assign(adapter)
    expect(await snapshot(other)).to.deep.equal({ adapter, state })
    await train(learner, batches(5))
    await train(other, batches(5))
    expect(await snapshot(other)).to.deep.equal(await snapshot(learner))
    learner.dispose()
    other.dispose()
  })

  it('begins anew from no state at all', async () => {
    const [learner, fresh] = [learnerOf({ optimizer: 'adamw' }), learnerOf({ optimizer: 'adamw' })]
    await train(learner, batches(2))
    learner.restore(new Map())
    learner.assign(await fresh.adapter())
    await train(learner, batches(3))
    await train(fresh, batches(3))
    expect(await snapshot(learner)).to.deep.equal(await snapshot(fresh))
    learner.dispose()
    fresh.dispose()
  })

  it('counts batches up to an interval, and fits to the schedule', async () => {
    const learner = learnerOf({ interval: 3 })
    const ready: boolean[] = []
    const fits = []
    for (const batch of batches(7)) {
      gatherBatch(learner, batch)
      ready.push(learner.ready)
      if (learner.ready) fits.push(await learner.fit())
    }
    fits.push(await learner.fit()) // the last, partial interval
    expect(ready).to.deep.equal([false, false, true, false, false, true, false])
    expect(fits.map(fit => [fit!.fit, fit!.rate])).to.deep.equal([[1, 0.1], [2, 0.1 / 2], [3, 0.1 / 3]])
    expect(learner.fits).to.equal(3)
    learner.dispose()
  })

  it('fits a partial interval as a full one of its length', async () => {
    const [partial, full] = [learnerOf({ interval: 5 }), learnerOf({ interval: 2 })]
    for (const learner of [partial, full]) {
      for (const batch of batches(2)) gatherBatch(learner, batch)
    }
    expect(await partial.fit()).to.deep.equal(await full.fit())
    expect(await snapshot(partial)).to.deep.equal(await snapshot(full))
    partial.dispose()
    full.dispose()
  })

  it('does nothing when nothing was gathered', async () => {
    const learner = learnerOf()
    await train(learner, batches(1))
    const before = await snapshot(learner)
    expect(await learner.fit()).to.equal(undefined)
    expect(await snapshot(learner)).to.deep.equal(before)
    learner.dispose()
  })

  it('takes the sites in any order, tokens in rows or not', async () => {
    const [learner, other] = [learnerOf({ maxNorm: 0.1 }), learnerOf({ maxNorm: 0.1 })]
    const data = batches(1, 6)[0]
    const inRows = new Map([...data].reverse().map(([site, { x, gradient }]) => [site, {
      x: { ...x, shape: [2, 3, x.shape[1]] },
      gradient: { ...gradient, shape: [3, 1, 2, gradient.shape[1]] }
    }]))
    await train(learner, [data])
    await train(other, [inRows])
    expect(await learner.adapter()).to.deep.equal(await other.adapter())
    learner.dispose()
    other.dispose()
  })

  it('tells the norm of all gradients together, before they are clipped', async () => {
    const data = batches(2)
    const learner = learnerOf({ interval: 2, maxNorm: 1e-3 })
    const adapter = await learner.adapter()
    for (const batch of data) gatherBatch(learner, batch)
    const fit = await learner.fit()
    const [one] = [together(data)]
    const squares = tf.tidy(() => SITES.flatMap(site => {
      const auxiliary = new Auxiliary(SPEC, site, { tensors: adapter.get(site.name)! })
      const { x, gradient } = one.get(site.name)!
      const gradients = auxiliary.gradients(tf.tensor2d(x.values, [8, site.inFeatures]), tf.tensor2d(gradient.values, [8, site.outFeatures]))
      auxiliary.dispose()
      return [...gradients.values()].map(tensor => tf.sum(tf.square(tensor)).arraySync() as number)
    }))
    const norm = Math.sqrt(squares.reduce((sum, square) => sum + square, 0))
    expect(fit!.norm).to.be.closeTo(norm, 1e-5 * norm)
    learner.dispose()
  })

  it('scales the gradients down to the norm that is given, all alike, and leaves smaller ones as they are', async () => {
    const adapter = randomAdapter(SPEC, SITES, seeded(1))
    const moved = async (maxNorm?: number): Promise<{ move: number[], norm: number }> => {
      const learner = new GradientLearner({
        auxiliaries: SITES.map(site => new Auxiliary(SPEC, site, { tensors: adapter.get(site.name)! })),
        optimizer: new Optimizer('sgd', 0),
        schedule: () => 1,
        interval: 1,
        ...(maxNorm === undefined ? {} : { maxNorm })
      })
      gatherBatch(learner, batches(1)[0])
      const fit = await learner.fit()
      const move = differences(await learner.adapter(), adapter)
      learner.dispose()
      return { move, norm: fit!.norm }
    }
    const free = await moved()
    expect(await moved(free.norm * 1.01)).to.deep.equal(free)
    const clipped = await moved(free.norm / 4)
    expect(clipped.norm).to.equal(free.norm)
    expect(relativeError(clipped.move, free.move.map(value => value / 4))).to.be.below(1e-5)
  })

  it('scales the gradients of each auxiliary down as if it were the only one, and tells the norm of all', async () => {
    const sites = [...SITES, { name: 'h.0', inFeatures: 3, outFeatures: 3 }] // the others' names begin with its own
    const adapter = randomAdapter(SPEC, sites, seeded(1))
    const data = randomData(sites, 4, seeded(2))
    const fitted = async (own: readonly Site[], init: Partial<GradientLearnerInit>): Promise<{ adapter: AdapterTensors, norm: number }> => {
      const learner = new GradientLearner({
        auxiliaries: own.map(site => new Auxiliary(SPEC, site, { tensors: adapter.get(site.name)! })),
        optimizer: new Optimizer('sgd', 0.01),
        schedule: () => 1,
        interval: 1,
        ...init
      })
      for (const { name } of own) learner.gather(name, data.get(name)!)
      learner.endBatch()
      const fit = await learner.fit()
      const after = await learner.adapter()
      learner.dispose()
      return { adapter: after, norm: fit!.norm }
    }
    const norms = await Promise.all(sites.map(async site => (await fitted([site], {})).norm))
    const maxNorm = norms.toSorted((a, b) => a - b)[1] * 1.01 // two within it, two above
    const before = tf.memory().numTensors
    const together = await fitted(sites, { maxNorm, clip: 'auxiliary' })
    expect(tf.memory().numTensors).to.equal(before)
    expect(together.norm).to.be.closeTo(Math.hypot(...norms), 1e-6 * together.norm)
    for (const site of sites) {
      const { adapter: alone } = await fitted([site], { maxNorm })
      expect(together.adapter.get(site.name), site.name).to.deep.equal(alone.get(site.name))
    }
    expect(together.adapter).to.not.deep.equal((await fitted(sites, { maxNorm })).adapter)
  })

  it('counts a batch as its weight says, and in full unless told otherwise', async () => {
    const [data] = batches(1)
    const halved = new Map([...data].map(([site, own]) => [site, change(own, 'gradient', { values: own.gradient.values.map(value => value / 2) })]))
    const [learner, other] = [learnerOf({ optimizer: 'sgd' }), learnerOf({ optimizer: 'sgd' })]
    for (const [site, own] of data) learner.gather(site, own)
    learner.endBatch(1 / 2)
    await learner.fit()
    await train(other, [halved])
    expect(await learner.adapter()).to.deep.equal(await other.adapter())
    for (const [site, own] of data) learner.gather(site, own)
    learner.endBatch(1)
    await learner.fit()
    await train(other, [data])
    expect(await learner.adapter()).to.deep.equal(await other.adapter())
    const before = tf.memory().numTensors
    for (let batch = 0; batch < 2; batch++) {
      for (const [site, own] of data) learner.gather(site, own)
      learner.endBatch(1 / 2)
    }
    await learner.fit()
    expect(tf.memory().numTensors).to.equal(before)
    learner.dispose()
    other.dispose()
  })

  it('learns from what pairs do to factors what it learns from the pairs', async () => {
    const [learner, other] = [learnerOf({ interval: 2 }), learnerOf({ interval: 2 })]
    for (const batch of batches(4)) {
      await train(learner, [batch])
      await train(other, [factorsOf(await other.adapter(), batch)])
    }
    expect(relativeError(flat(await other.adapter()), flat(await learner.adapter()))).to.be.below(1e-6)
    learner.dispose()
    other.dispose()
  })

  describe('refuses, and stays exactly as it was', () => {
    /** A learner in mid-interval, to which something is done that must change nothing, beside its twin to which nothing is done. */
    async function expectUnchanged (disturb: (learner: GradientLearner) => Promise<void> | void): Promise<void> {
      const [learner, twin] = [learnerOf({ interval: 3, optimizer: 'adamw' }), learnerOf({ interval: 3, optimizer: 'adamw' })]
      for (const one of [learner, twin]) await train(one, batches(4))
      const [before, counted] = [await snapshot(learner), tf.memory().numTensors]
      await disturb(learner)
      expect(await snapshot(learner)).to.deep.equal(before)
      expect(tf.memory().numTensors).to.equal(counted)
      for (const one of [learner, twin]) await train(one, batches(7).slice(4))
      expect(await snapshot(learner)).to.deep.equal(await snapshot(twin))
      learner.dispose()
      twin.dispose()
    }

    function expectRefused (learner: GradientLearner, site: string, data: SiteData, name: string, what: string): void {
      expect(() => learner.gather(site, data), what).to.throw().with.property('name', name)
    }

    const data = batches(1, 4)[0].get(FIRST.name)!

    for (const which of ['x', 'gradient'] as const) {
      it(`values of ${which} that are not finite`, async () => {
        await expectUnchanged(learner => {
          for (const value of [NaN, Infinity, -Infinity]) {
            for (const at of [0, data[which].values.length - 1]) {
              expectRefused(learner, FIRST.name, change(data, which, { values: data[which].values.with(at, value) }), 'NonFiniteError', `${value} at ${at}`)
            }
          }
        })
      })

      it(`shapes of ${which} that are not [tokens, features]`, async () => {
        const { shape: [tokens, features], values } = data[which]
        const random = seeded(1)
        const wrong: ReadonlyArray<Partial<FloatTensor>> = [
          { shape: [] }, { shape: [values.length] }, { shape: [features, tokens] }, { shape: [tokens, features, 1] },
          { shape: [tokens + 1, features] }, { shape: [tokens - 1, features] }, { shape: [tokens, features + 1] }, { shape: [2, tokens, features] },
          { values: values.subarray(1) }, { values: new Float32Array(0) },
          uniform([tokens, features + 1], random), uniform([tokens, features - 1], random),
          uniform([tokens + 1, features], random), uniform([tokens - 1, features], random), uniform([0, features], random)
        ]
        await expectUnchanged(learner => {
          for (const tensor of wrong) expectRefused(learner, FIRST.name, change(data, which, tensor), 'InvalidTensorError', `${which} [${tensor.shape?.join() ?? ''}]`)
        })
      })
    }

    it('sums of ∇ĥ·xᵀ that are not finite, or not of the module\'s shape', async () => {
      await expectUnchanged(learner => {
        const { inFeatures, outFeatures } = FIRST
        const values = new Float32Array(inFeatures * outFeatures).fill(1)
        for (const value of [NaN, Infinity]) expectRefused(learner, FIRST.name, { product: { shape: [outFeatures, inFeatures], values: values.with(1, value) } }, 'NonFiniteError', String(value))
        for (const shape of [[inFeatures, outFeatures], [outFeatures], [1, outFeatures, inFeatures]]) {
          expectRefused(learner, FIRST.name, { product: { shape, values } }, 'InvalidTensorError', shape.join())
        }
        expectRefused(learner, FIRST.name, { product: { shape: [outFeatures, inFeatures], values: values.subarray(1) } }, 'InvalidTensorError', 'one value less')
      })
    })

    it('gradients of factors that are not finite, or not of the parameters', async () => {
      await expectUnchanged(async learner => {
        const { factors } = factorsOf(await learner.adapter(), batches(1)[0]).get(FIRST.name)!
        for (const [name, { shape, values }] of factors) {
          const changed = (tensor: Partial<FloatTensor>): SiteFactors => ({ factors: new Map([...factors, [name, { shape, values, ...tensor }]]) })
          for (const value of [NaN, Infinity, -Infinity]) expectRefused(learner, FIRST.name, changed({ values: values.with(-1, value) }), 'NonFiniteError', `${name}: ${value}`)
          expectRefused(learner, FIRST.name, changed({ shape: shape.toReversed() }), 'InvalidTensorError', `${name} transposed`)
          expectRefused(learner, FIRST.name, { factors: new Map([...factors].filter(([other]) => other !== name)) }, 'InvalidTensorError', `without ${name}`)
          expectRefused(learner, FIRST.name, { factors: new Map([...factors, ['weight', { shape, values }]]) }, 'InvalidTensorError', 'one more')
        }
      })
    })

    it('one token without its axis', async () => {
      const one = randomData(SITES, 1, seeded(1)).get(FIRST.name)!
      await expectUnchanged(learner => {
        for (const which of ['x', 'gradient'] as const) {
          expectRefused(learner, FIRST.name, change(one, which, { shape: [one[which].values.length] }), 'InvalidTensorError', which)
        }
      })
    })

    it('data of no token', async () => {
      await expectUnchanged(learner => {
        expectRefused(learner, FIRST.name, randomData(SITES, 0, seeded(1)).get(FIRST.name)!, 'InvalidTensorError', 'no token')
      })
    })

    it('a site that has no auxiliary', async () => {
      await expectUnchanged(learner => {
        for (const site of ['', 'h.0', `${FIRST.name}x`]) expectRefused(learner, site, data, 'UnknownSiteError', site)
      })
    })

    it('a site that came already, until the batch is dropped', async () => {
      await expectUnchanged(learner => {
        learner.gather(FIRST.name, data)
        expectRefused(learner, FIRST.name, data, 'UnknownSiteError', 'twice')
        learner.dropBatch()
        learner.gather(FIRST.name, data)
        learner.dropBatch()
      })
    })

    it('a batch in which a site is missing', async () => {
      await expectUnchanged(learner => {
        for (const missing of SITES) {
          for (const [site, own] of batches(1)[0]) if (site !== missing.name) learner.gather(site, own)
          expect(() => learner.endBatch(), missing.name).to.throw().with.property('name', 'UnknownSiteError')
        }
        expect(() => learner.endBatch(), 'all').to.throw().with.property('name', 'UnknownSiteError')
      })
    })

    it('an adapter of other sites or shapes, though only the last is wrong', async () => {
      const right = randomAdapter(SPEC, SITES, seeded(5))
      const last = SITES[SITES.length - 1]
      const wrong: ReadonlyArray<[string, AdapterTensors]> = [
        ['nothing', new Map()],
        ['one missing', new Map([...right].slice(0, -1))],
        ['one more', new Map([...right, ['other', right.get(last.name)!]])],
        ['another rank', new Map([...right, [last.name, randomAdapter({ ...SPEC, rank: 3 }, [last], seeded(1)).get(last.name)!]])],
        ['another kind', new Map([...right, [last.name, randomAdapter(SPECS[1], [last], seeded(1)).get(last.name)!]])]
      ]
      await expectUnchanged(learner => {
        for (const [what, adapter] of wrong) expect(() => learner.assign(adapter), what).to.throw().with.property('name', 'InvalidAdapterError')
      })
    })
  })

  it('refuses to fit gradients that are too large for float32, drops them, and goes on', async () => {
    const [learner, twin] = [learnerOf({ interval: 2, optimizer: 'adamw' }), learnerOf({ interval: 2, optimizer: 'adamw' })]
    for (const one of [learner, twin]) await train(one, batches(2))
    const [before, counted] = [await snapshot(learner), tf.memory().numTensors]
    const huge = new Map([...batches(1)[0]].map(([site, own]) => [site, change(own, 'gradient', { values: own.gradient.values.map(value => value * 1e38) })]))
    gatherBatch(learner, batches(1)[0])
    gatherBatch(learner, huge)
    expect(await rejection(learner.fit())).to.have.property('name', 'NonFiniteError')
    expect(await snapshot(learner)).to.deep.equal(before)
    expect(tf.memory().numTensors).to.equal(counted)
    expect(learner).to.include({ ready: false, fits: 1 })
    for (const one of [learner, twin]) await train(one, batches(4).slice(2))
    expect(await snapshot(learner)).to.deep.equal(await snapshot(twin))
    learner.dispose()
    twin.dispose()
  })

  it('gives its adapter as a copy, and takes one as a copy', async () => {
    const learner = learnerOf()
    const expected = await learner.adapter()
    const given = await learner.adapter()
    learner.assign(given)
    for (const own of given.values()) for (const { values } of own.values()) values.fill(7)
    expect(await learner.adapter()).to.deep.equal(expected)
    learner.dispose()
  })

  it('owns no more tensors however long an interval or a training is, and none when it is disposed of', async () => {
    const before = tf.memory().numTensors
    for (const optimizer of OPTIMIZERS) {
      const learner = learnerOf({ optimizer, interval: 3 })
      const [first, ...others] = batches(7)
      gatherBatch(learner, first)
      const gathering = tf.memory().numTensors
      gatherBatch(learner, others[0])
      expect(tf.memory().numTensors, 'another batch').to.equal(gathering)
      await train(learner, others.slice(1, 2))
      const fitted = tf.memory().numTensors
      await train(learner, others.slice(2, 5))
      expect(learner.fits).to.equal(2)
      expect(tf.memory().numTensors, 'another fit').to.equal(fitted)
      await learner.adapter()
      await learner.state()
      expect(tf.memory().numTensors, 'at rest').to.equal(fitted)
      gatherBatch(learner, others[5])
      learner.gather(FIRST.name, first.get(FIRST.name)!)
      const { state } = await snapshot(learner)
      learner.restore(decodeSafetensors(state).tensors)
      learner.gather(FIRST.name, first.get(FIRST.name)!)
      learner.dispose()
      expect(tf.memory().numTensors, 'disposed of').to.equal(before)
    }
  })
})
