import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { InvalidTensorError, NonFiniteError, UnknownSiteError } from '../../src/errors.js'
import { Optimizer } from '../../src/gl/optimizer.js'
import { type ComposedAdapter, WeightLearner } from '../../src/gl/weight-learner.js'
import type { AuxiliarySpec, Site } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { type FloatPair, randomAdapter, randomData, SITES } from './adaptation.js'

const RATE = 0.1
/** What the first step of SGD with Nesterov's momentum of 0.9 is, of the gradient. */
const FIRST_STEP = 1.9

const SPECS: readonly AuxiliarySpec[] = [{ kind: 'low-rank', rank: 2, alpha: 5 }, { kind: 'linear', rank: 4, alpha: 1 }, { kind: 'low-rank', rank: 1, alpha: 0.5 }]

function adaptersFor (sites: readonly Site[]): ComposedAdapter[] {
  const random = seeded(3)
  return SPECS.map((spec, k) => ({ spec, tensors: randomAdapter(spec, k === 2 ? sites.slice(1) : sites, random) })) // the last lacks a site
}

function learnerOf (adapters: readonly ComposedAdapter[], start: readonly number[], interval = 1): WeightLearner {
  return new WeightLearner({ sites: SITES, adapters, start, optimizer: new Optimizer('sgd', 0), schedule: () => RATE, interval })
}

/** Σ_sites Σ_t ∇ĥ_t·(α·ΔW·x_t), one number after the other. */
function gradientOf ({ spec, tensors }: ComposedAdapter, data: ReadonlyMap<string, FloatPair>): number {
  let sum = 0
  for (const { name, inFeatures, outFeatures } of SITES) {
    const [own, { x, gradient }] = [tensors.get(name), data.get(name)!]
    if (own === undefined) continue
    const entry = (o: number, i: number): number => {
      const weight = own.get('weight')?.values
      if (weight !== undefined) return weight[o * inFeatures + i]
      const [a, b] = [own.get('lora_A.weight')!.values, own.get('lora_B.weight')!.values]
      return Array.from({ length: spec.rank }, (_, r) => b[o * spec.rank + r] * a[r * inFeatures + i]).reduce((all, term) => all + term, 0)
    }
    for (let t = 0; t < x.shape[0]; t++) {
      for (let o = 0; o < outFeatures; o++) {
        for (let i = 0; i < inFeatures; i++) sum += gradient.values[t * outFeatures + o] * spec.alpha / spec.rank * entry(o, i) * x.values[t * inFeatures + i]
      }
    }
  }
  return sum
}

describe('gl: learned weights of adapters', () => {
  before(async () => { await startBackend() })
  let tensors: number
  beforeEach(() => { tensors = tf.memory().numTensors })
  afterEach(() => expect(tf.memory().numTensors).to.equal(tensors))

  function gather (learner: WeightLearner, data: ReadonlyMap<string, FloatPair>): void {
    for (const [site, pair] of data) learner.gather(site, pair)
    learner.endBatch()
  }

  it('take the step that the gradient of the loss gives, of adapters of any kind and of some sites', async () => {
    const adapters = adaptersFor(SITES)
    const start = [0.5, -1, 2]
    const learner = learnerOf(adapters, start)
    const data = randomData(SITES, 5, seeded(1))
    gather(learner, data)
    const fit = await learner.fit()
    const expected = adapters.map(adapter => gradientOf(adapter, data))
    expect(fit?.norm).to.be.closeTo(Math.hypot(...expected), 1e-4)
    for (const [k, weight] of (await learner.weights()).entries()) {
      expect(weight).to.be.closeTo(start[k] - RATE * FIRST_STEP * expected[k], 1e-4)
    }
    learner.dispose()
  })

  it('sum an interval, and fit what there is of the last one', async () => {
    const adapters = adaptersFor(SITES)
    const learner = learnerOf(adapters, [1, 1, 1], 3)
    const batches = [2, 3].map(seed => randomData(SITES, 4, seeded(seed)))
    for (const data of batches) {
      expect(learner.ready).to.be.false
      gather(learner, data)
    }
    await learner.fit()
    for (const [k, weight] of (await learner.weights()).entries()) {
      const sum = batches.reduce((all, data) => all + gradientOf(adapters[k], data), 0)
      expect(weight).to.be.closeTo(1 - RATE * FIRST_STEP * sum, 1e-4)
    }
    expect(await learner.fit()).to.be.undefined
    expect(learner.fits).to.equal(1)
    learner.dispose()
  })

  it('refuse data that do not fit, and change nothing', async () => {
    const learner = learnerOf(adaptersFor(SITES), [1, 2, 3])
    const data = randomData(SITES, 2, seeded(4))
    const [first, other] = [...data.keys()]
    expect(() => learner.gather('none', data.get(first)!)).to.throw(UnknownSiteError)
    expect(() => learner.gather(first, data.get(other)!)).to.throw(InvalidTensorError)
    learner.gather(first, data.get(first)!)
    expect(() => learner.gather(first, data.get(first)!)).to.throw(UnknownSiteError, 'twice')
    expect(() => learner.endBatch()).to.throw(UnknownSiteError, other)
    const { x, gradient } = data.get(first)!
    expect(() => learner.gather(first, { x, gradient: { ...gradient, values: gradient.values.map(() => NaN) } })).to.throw(NonFiniteError)
    expect(await learner.fit()).to.be.undefined
    expect(await learner.weights()).to.deep.equal([1, 2, 3])
    learner.dispose()
  })
})
