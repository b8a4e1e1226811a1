import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { Auxiliary } from '../../../src/gl/auxiliary.js'
import { GradientLearner, type GradientLearnerInit } from '../../../src/gl/gradient-learner.js'
import { Optimizer, type OptimizerKind } from '../../../src/gl/optimizer.js'
import { gaussianNoise } from '../../../src/gl/privacy/gaussian-noise.js'
import { type PrivateFits, secretOf } from '../../../src/gl/privacy/private-gathering.js'
import { decodeSafetensors, encodeSafetensors } from '../../../src/tensor/safetensors.js'
import { SECRET_BYTES } from '../../../src/tensor/secret-stream.js'
import { type AdaptationData, type AdapterTensors, AUXILIARY_KINDS, type AuxiliarySpec, type FloatTensor, type Site } from '../../../src/types.js'
import { seeded } from '../../merge/random.js'
import { relativeError } from '../../support/compare.js'
import { type FloatPair, randomData, SITES, uniform } from '../adaptation.js'
import { randomAuxiliary } from '../random-auxiliary.js'

const SECRET = new Uint8Array(SECRET_BYTES).fill(5)
const PLACES = 4
/** Too little to be seen: the sums are what fits are made from. */
const QUIET: PrivateFits = { clip: 1, noiseMultiplier: 1e-12, batchSize: 1, secret: SECRET }

/** With what the module gives by itself. */
interface RowPair extends FloatPair {
  readonly output: FloatTensor
}

type Row = ReadonlyMap<string, RowPair>

/** Norms of a weight, for kinds that divide by them. */
const normOf = (site: Site): FloatTensor => ({ shape: [site.outFeatures], values: new Float32Array(site.outFeatures).fill(2) })

/** ∂(summed loss of the row)/∂ĥ and x of each site, for so many rows. */
function rowsOf (count: number, seed = 1): Row[] {
  const random = seeded(seed)
  return Array.from({ length: count }, () => new Map([...randomData(SITES, PLACES, random)].map(([name, pair]) => [name, { ...pair, output: uniform(pair.gradient.shape, random) }])))
}

/** A batch of them, as a host gives it: the mean over all predictions that count. */
function batchOf (rows: readonly Row[], counts: readonly number[]): AdaptationData {
  const all = counts.reduce((sum, count) => sum + count, 0)
  const below = (tensors: readonly FloatTensor[], scale: number): FloatTensor => ({
    shape: [tensors.length * PLACES, tensors[0].shape[1]],
    values: Float32Array.from(tensors.flatMap(({ values }) => [...values]), value => value * scale)
  })
  return new Map(SITES.map(site => {
    const { name } = site
    const own = rows.map((row, i) => counts[i] === 0 ? silent(row).get(name)! : row.get(name)!)
    return [name, { x: below(own.map(({ x }) => x), 1), gradient: below(own.map(({ gradient }) => gradient), 1 / Math.max(1, all)), output: below(own.map(({ output }) => output), 1), norm: normOf(site) }]
  }))
}

const silent = (row: Row): Row => scaled(row, 0)

function scaled (row: Row, by: number): Row {
  return new Map([...row].map(([name, { gradient, ...others }]) => [name, { ...others, gradient: { ...gradient, values: gradient.values.map(value => by * value) } }]))
}

interface Options extends Partial<Pick<GradientLearnerInit, 'interval'>> {
  readonly spec?: AuxiliarySpec
  readonly privacy?: Partial<PrivateFits>
  readonly adapter?: AdapterTensors
  readonly optimizer?: OptimizerKind
}

const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 4 }

function learnerOf ({ spec = SPEC, privacy, adapter = adapterOf(spec), optimizer = 'adamw', interval = 1 }: Options = {}): GradientLearner {
  return new GradientLearner({
    auxiliaries: SITES.map(site => new Auxiliary(spec, site, { tensors: adapter.get(site.name)! })),
    optimizer: new Optimizer(optimizer, 0.01),
    schedule: () => 0.1,
    interval,
    privacy: { ...QUIET, ...privacy }
  })
}

function gather (learner: GradientLearner, data: AdaptationData, counts: readonly number[]): void {
  learner.beginBatch(Int32Array.from(counts))
  for (const [site, own] of data) learner.gather(site, own)
  learner.endBatch()
}

/** An adapter that is not at its start. */
function adapterOf (spec: AuxiliarySpec): AdapterTensors {
  const random = seeded(9)
  return new Map(SITES.map(site => [site.name, randomAuxiliary(spec, site, random)]))
}

/** What has been gathered, as one vector. */
async function gathered (learner: GradientLearner): Promise<number[]> {
  return [...await learner.state()].filter(([name]) => name.startsWith('sum.')).flatMap(([, { values }]) => [...values])
}

/** The clipped sum of some rows. */
async function sumOf (rows: readonly Row[], counts: readonly number[], options: Options = {}): Promise<number[]> {
  const learner = learnerOf(options)
  gather(learner, batchOf(rows, counts), counts)
  const sum = await gathered(learner)
  learner.dispose()
  return sum
}

const norm = (values: readonly number[]): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
const times = (values: readonly number[], by: number): number[] => values.map(value => by * value)
const minus = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value - b[i])
const plus = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value + b[i])
const ones = (rows: readonly Row[]): number[] => rows.map(() => 1)

/** The gradient of a row's mean loss, by a backward pass of its own, without any clipping. */
function gradientOf (row: Row, count: number, spec: AuxiliarySpec): number[] {
  const adapter = adapterOf(spec)
  return SITES.flatMap(site => {
    const auxiliary = new Auxiliary(spec, site, { tensors: adapter.get(site.name)! })
    const values = tf.tidy(() => {
      const { x, gradient, output } = row.get(site.name)!
      const seen = { output: tf.tensor2d(output.values, [PLACES, site.outFeatures]), norm: tf.tensor1d(normOf(site).values) }
      const gradients = auxiliary.gradients(tf.tensor2d(x.values, [PLACES, site.inFeatures]), tf.div(tf.tensor2d(gradient.values, [PLACES, site.outFeatures]), count), seen)
      return [...gradients.values()].flatMap(tensor => [...tensor.dataSync()])
    })
    auxiliary.dispose()
    return values
  })
}

async function snapshot (learner: GradientLearner): Promise<{ adapter: AdapterTensors, state: Buffer }> {
  return { adapter: await learner.adapter(), state: Buffer.from(encodeSafetensors(await learner.state())) }
}

describe('gl: private fits', () => {
  before(async () => { await startBackend() })

  for (const kind of AUXILIARY_KINDS) {
    const spec: AuxiliarySpec = { kind, rank: 2, alpha: 4 }

    it(`sum rows that are clipped one by one, ${kind}`, async () => {
      const before = tf.memory().numTensors
      const rows = [...rowsOf(3), scaled(rowsOf(1, 7)[0], 1e-3)]
      const counts = [4, 1, 2, 3]
      const own = rows.map((row, i) => gradientOf(row, counts[i], spec))
      const clip = norm(own[1]) / 2
      expect(norm(own[3])).to.be.below(clip)
      const expected = own.map(gradient => times(gradient, Math.min(1, clip / norm(gradient)))).reduce(plus)
      expect(relativeError(await sumOf(rows, counts, { spec, privacy: { clip } }), expected)).to.be.below(1e-5)
      expect(relativeError(await sumOf(rows, counts, { spec, privacy: { clip: 1e6 } }), own.reduce(plus))).to.be.below(1e-5)
      expect(tf.memory().numTensors).to.equal(before)
    })

    it(`are moved by one row by the clip at most, whatever it is, ${kind}`, async () => {
      const rows = rowsOf(5, 3)
      const without = await sumOf(rows, [1, 2, 3, 4, 1], { spec })
      for (const size of [1e-6, 1, 1e6, 1e15]) {
        for (const count of [1, 4]) {
          const moved = norm(minus(await sumOf([...rows, scaled(rowsOf(1, 4)[0], size)], [1, 2, 3, 4, 1, count], { spec }), without))
          expect(moved, `${size}, ${count}`).to.be.below(1 + 1e-5)
          if (size >= 1e6) expect(moved).to.be.above(1 - 1e-5)
        }
      }
    })
  }

  it('take nothing from a row of which nothing counts', async () => {
    const rows = rowsOf(3)
    expect(relativeError(await sumOf(rows, [2, 0, 3]), await sumOf([rows[0], rows[2]], [2, 3]))).to.be.below(1e-6)
    expect(norm(await sumOf(rows, [0, 0, 0]))).to.equal(0)
  })

  it('sum batches of an interval, and take rows in any number of batches', async () => {
    const rows = rowsOf(6)
    const learner = learnerOf({ interval: 3 })
    for (const some of [rows.slice(0, 1), [], rows.slice(1)]) {
      if (some.length > 0) gather(learner, batchOf(some, ones(some)), ones(some))
      else gather(learner, new Map(), [])
    }
    expect(learner.ready).to.equal(true)
    expect(relativeError(await gathered(learner), await sumOf(rows, ones(rows)))).to.be.below(1e-5)
    learner.dispose()
  })

  it('have noise of the deviation that is wanted, once a fit, over the usual size of a batch', async () => {
    const spec: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }
    const moves: number[] = []
    const learner = new GradientLearner({
      auxiliaries: [new Auxiliary(spec, { name: 'wide', inFeatures: 40, outFeatures: 50 }, { seed: 1 })],
      optimizer: new Optimizer('sgd', 0),
      schedule: fit => fit === 0 ? 1 : 0,
      interval: 2,
      privacy: { clip: 3, noiseMultiplier: 0.5, batchSize: 4, secret: SECRET }
    })
    for (let i = 0; i < 2; i++) gather(learner, new Map(), [])
    await learner.fit()
    for (const own of (await learner.adapter()).values()) for (const { values } of own.values()) moves.push(...values)
    learner.dispose()
    const variance = moves.reduce((sum, value) => sum + value * value, 0) / moves.length
    expect(moves).to.have.lengthOf(2000)
    // SGD with Nesterov momentum of 0.9 moves by 1.9 times the first gradient
    expect(Math.sqrt(variance)).to.be.closeTo(1.9 * 0.5 * 3 / 4, 0.08 * 1.9 * 0.5 * 3 / 4) // 5 standard deviations
  })

  it('have noise that is normal, and new for each fit', () => {
    const count = 100_000
    const [first, second] = [0, 1].map(fit => gaussianNoise(SECRET, fit, 2)(count))
    const moment = (values: Float32Array, power: number): number => values.reduce((sum, value) => sum + (value / 2) ** power, 0) / count
    for (const values of [first, second]) {
      expect(moment(values, 1)).to.be.closeTo(0, 0.016)
      expect(moment(values, 2)).to.be.closeTo(1, 0.0224)
      expect(moment(values, 3)).to.be.closeTo(0, 0.062)
      expect(moment(values, 4)).to.be.closeTo(3, 0.155)
      expect(values.filter(value => Math.abs(value) > 2 * 1.959964).length).to.be.within(4655, 5345)
    }
    expect(first.reduce((sum, value, i) => sum + value * second[i], 0) / (4 * count)).to.be.closeTo(0, 0.016)
    expect(gaussianNoise(SECRET, 0, 2)(count)).to.deep.equal(first)
  })

  it('go on from a saved state bit for bit, wherever in an interval it was saved', async () => {
    const privacy = { clip: 0.5, noiseMultiplier: 1, batchSize: 2 }
    const steps = Array.from({ length: 7 }, (_, i) => rowsOf(i % 3, 20 + i))
    const train = async (learner: GradientLearner, from: number): Promise<void> => {
      for (const rows of steps.slice(from)) {
        gather(learner, rows.length === 0 ? new Map() : batchOf(rows, ones(rows)), ones(rows))
        if (learner.ready) await learner.fit()
      }
      await learner.fit()
    }
    const learner = learnerOf({ privacy, interval: 2 })
    const saved = [await snapshot(learner)]
    for (const rows of steps) {
      gather(learner, rows.length === 0 ? new Map() : batchOf(rows, ones(rows)), ones(rows))
      if (learner.ready) await learner.fit()
      saved.push(await snapshot(learner))
    }
    await learner.fit()
    const end = await snapshot(learner)
    for (const [done, { adapter, state }] of saved.entries()) {
      const { tensors } = decodeSafetensors(state)
      const restored = learnerOf({ privacy: { ...privacy, secret: secretOf(tensors)! }, interval: 2, adapter })
      restored.restore(tensors)
      await train(restored, done)
      expect(await snapshot(restored), `after ${done} batches`).to.deep.equal(end)
      restored.dispose()
    }
    learner.dispose()
    const other = learnerOf({ privacy: { ...privacy, secret: SECRET.with(0, 1) }, interval: 2 })
    await train(other, 0)
    expect(await other.adapter()).to.not.deep.equal(end.adapter)
    other.dispose()
  })

  it('keep what they were given as it was, though it is altered afterwards', async () => {
    const rows = rowsOf(2)
    const learner = learnerOf()
    learner.beginBatch(Int32Array.of(1, 1))
    for (const [site, own] of batchOf(rows, [1, 1])) {
      learner.gather(site, own)
      if ('x' in own) {
        own.x.values.fill(7)
        own.gradient.values.fill(7)
      }
    }
    learner.endBatch()
    expect(await gathered(learner)).to.deep.equal(await sumOf(rows, [1, 1]))
    learner.dispose()
  })

  it('refuse what is not of the rows of the batch, and forget a batch that is not whole', async () => {
    const rows = rowsOf(3)
    const data = batchOf(rows, ones(rows))
    const learner = learnerOf()
    const [site, own] = [...data][0]
    const refused = (what: () => void, name: string): void => { expect(what).to.throw().with.property('name', name) }
    refused(() => { learner.gather(site, own) }, 'InvalidTensorError') // no batch has begun
    refused(() => { learner.endBatch() }, 'UnknownSiteError')
    const before = tf.memory().numTensors
    learner.beginBatch(Int32Array.of(1, 1, 1, 1, 1))
    refused(() => { learner.gather(site, own) }, 'InvalidTensorError')
    learner.beginBatch(Int32Array.of(1, 1, 1))
    refused(() => { learner.gather(site, { factors: new Map() }) }, 'InvalidTensorError')
    learner.gather(site, own)
    refused(() => { learner.endBatch() }, 'UnknownSiteError')
    learner.dropBatch()
    expect(tf.memory().numTensors).to.equal(before)
    gather(learner, data, ones(rows))
    expect(await gathered(learner)).to.deep.equal(await sumOf(rows, ones(rows)))
    learner.dispose()
  })
})
