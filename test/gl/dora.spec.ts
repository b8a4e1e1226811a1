import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { scaleAt } from '../../src/auxiliary-spec.js'
import { startBackend } from '../../src/engine/backend.js'
import { applyAuxiliary, Auxiliary, parameterShapes } from '../../src/gl/auxiliary.js'
import { GradientLearner } from '../../src/gl/gradient-learner.js'
import { Optimizer } from '../../src/gl/optimizer.js'
import type { AuxiliarySpec, FloatTensor, Site, SitePair } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'

const SPECS: readonly AuxiliarySpec[] = [
  { kind: 'dora', rank: 2, alpha: 2 },
  { kind: 'dora', rank: 2, alpha: 5, ranks: { [SITES[0].name]: 1 }, rankStabilised: true }
]

function matrix ({ values, shape }: FloatTensor): tf.Tensor2D {
  return tf.tensor<tf.Rank.R2>(values, shape as [number, number])
}

/** A loss that is linear in nothing. */
function loss (output: tf.Tensor): tf.Scalar {
  return tf.mean(tf.add(tf.square(tf.tanh(output)), tf.exp(tf.mul(output, -0.5))))
}

/** One module of random weights, and some places at it. */
function moduleOf ({ inFeatures, outFeatures }: Site): { x: tf.Tensor2D, weight: tf.Tensor2D, bias: tf.Tensor2D } {
  const random = seeded(4)
  return { x: matrix(uniform([7, inFeatures], random)), weight: matrix(uniform([outFeatures, inFeatures], random)), bias: matrix(uniform([1, outFeatures], random)) }
}

function normOf (weight: tf.Tensor2D): tf.Tensor1D {
  return tf.sqrt(tf.sum<tf.Tensor1D>(tf.square(weight), 1))
}

describe('gl: DoRA', () => {
  before(async () => { await startBackend() })

  for (const spec of SPECS) {
    it(`has the gradient of its paper, in which the norm is a constant, ${JSON.stringify(spec)}`, () => {
      const before = tf.memory().numTensors
      for (const site of SITES) {
        const tensors = randomAdapter(spec, [site], seeded(1)).get(site.name)!
        const auxiliary = new Auxiliary(spec, site, { tensors })
        tf.tidy(() => {
          const { x, weight, bias } = moduleOf(site)
          const values = [...tensors.values()].map(matrix) as tf.Tensor[]
          const changed = (a: tf.Tensor, b: tf.Tensor): tf.Tensor2D => tf.add(weight, tf.mul(tf.matMul(b as tf.Tensor2D, a as tf.Tensor2D), scaleAt(spec, site.name)))
          const norm = normOf(changed(values[0], values[1]))
          const adapted = (a: tf.Tensor, b: tf.Tensor, m: tf.Tensor): tf.Tensor => tf.add(tf.mul(tf.matMul(x, changed(a, b), false, true), tf.div(m, norm)), bias)
          const expected = tf.grads((a, b, m) => loss(adapted(a, b, m)))(values)
          const product: tf.Tensor2D = tf.matMul(x, weight, false, true)
          const gradient = tf.grad(loss)(adapted(values[0], values[1], values[2])) as tf.Tensor2D
          for (const [i, [name, own]] of [...auxiliary.gradients(x, gradient, { output: product, norm })].entries()) {
            expect(own.shape, name).to.deep.equal(expected[i].shape)
            expect(relativeError(own.dataSync(), expected[i].dataSync()), `${site.name}.${name}`).to.be.below(1e-5)
          }
          const sum = tf.add(tf.add(product, bias), applyAuxiliary(spec, site, x, [...auxiliary.parameters.values()], { output: product, norm }))
          expect(relativeError(sum.dataSync(), adapted(values[0], values[1], values[2]).dataSync()), site.name).to.be.below(1e-5)
        })
        auxiliary.dispose()
      }
      expect(tf.memory().numTensors).to.equal(before)
    })
  }

  it('starts at the norms of the rows, and gives 0 there', () => {
    const [site] = SITES
    tf.tidy(() => {
      const { x, weight } = moduleOf(site)
      const norm = normOf(weight)
      const auxiliary = new Auxiliary(SPECS[0], site, { seed: 1, norm: { shape: [5], values: norm.dataSync<'float32'>() } })
      const added = applyAuxiliary(SPECS[0], site, x, [...auxiliary.parameters.values()], { output: tf.matMul(x, weight, false, true), norm }).dataSync()
      expect([...added].every(value => value === 0)).to.equal(true)
      auxiliary.dispose()
    })
  })

  it('cannot start without them, nor from those of another module', () => {
    const [site] = SITES
    for (const start of [{ seed: 1 }, { seed: 1, norm: { shape: [4], values: new Float32Array(4) } }]) {
      expect(() => new Auxiliary(SPECS[0], site, start)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })

  it('gives a share of itself where it is one of several', () => {
    const [site] = SITES
    const shared: AuxiliarySpec = { ...SPECS[0], shares: { [site.name]: 0.25 } }
    const tensors = randomAdapter(SPECS[0], [site], seeded(1)).get(site.name)!
    tf.tidy(() => {
      const { x, weight } = moduleOf(site)
      const added = (spec: AuxiliarySpec): Float32Array => applyAuxiliary(spec, site, x, [...tensors.values()].map(matrix), { output: tf.matMul(x, weight, false, true), norm: normOf(weight) }).dataSync<'float32'>()
      expect(relativeError(added(shared), added(SPECS[0]).map(value => value / 4))).to.be.below(1e-6)
    })
  })

  it('is of linear modules alone', () => {
    const convolution = { channels: 3, height: 4, width: 4, kernel: [1, 1], stride: [1, 1], padding: [0, 0] } as const
    for (const site of [{ name: 'wte', inFeatures: 7, outFeatures: 3, embedding: true }, { name: 'conv', inFeatures: 3, outFeatures: 3, convolution }]) {
      expect(() => parameterShapes(SPECS[0], site), site.name).to.throw().with.property('name', 'InvalidOptionError')
    }
  })

  it('is learned from data that hold all that it is a function of, and from no others', () => {
    const before = tf.memory().numTensors
    const [site] = SITES
    const tensors = randomAdapter(SPECS[0], [site], seeded(1)).get(site.name)!
    const learner = new GradientLearner({
      auxiliaries: [new Auxiliary(SPECS[0], site, { tensors })], optimizer: new Optimizer('sgd', 0), schedule: () => 1, interval: 1
    })
    const random = seeded(2)
    const whole = { x: uniform([4, 3], random), gradient: uniform([4, 5], random), output: uniform([4, 5], random), norm: uniform([5], random) }
    const { output, norm, ...pair } = whole
    const wrong: Record<string, [SitePair, string]> = {
      'no output': [{ ...pair, norm }, 'InvalidTensorError'],
      'no norms': [{ ...pair, output }, 'InvalidTensorError'],
      'an output of fewer places': [{ ...whole, output: uniform([3, 5], random) }, 'InvalidTensorError'],
      'an output of other features': [{ ...whole, output: uniform([4, 3], random) }, 'InvalidTensorError'],
      'norms of other features': [{ ...whole, norm: uniform([3], random) }, 'InvalidTensorError'],
      'norms in rows': [{ ...whole, norm: uniform([5, 1], random) }, 'InvalidTensorError'],
      'an infinite norm': [{ ...whole, norm: { shape: [5], values: norm.values.with(2, Infinity) } }, 'NonFiniteError'],
      'an output that is no number': [{ ...whole, output: { shape: [4, 5], values: output.values.with(19, NaN) } }, 'NonFiniteError']
    }
    for (const [what, [data, name]] of Object.entries(wrong)) expect(() => learner.gather(site.name, data), what).to.throw().with.property('name', name)
    learner.gather(site.name, whole)
    learner.dropBatch()
    learner.dispose()
    expect(tf.memory().numTensors).to.equal(before)
  })
})
