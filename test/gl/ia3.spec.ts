import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { applyAuxiliary, Auxiliary, parameterShapes } from '../../src/gl/auxiliary.js'
import type { AuxiliarySpec, Site } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'

const SPECS: readonly AuxiliarySpec[] = [{ kind: 'ia3', rank: 1, alpha: 1 }, { kind: 'ia3', rank: 2, alpha: 3, alphas: { [SITES[1].name]: 0.5 } }]
const CONVOLUTION: Site = { name: 'conv', inFeatures: 12, outFeatures: 3, convolution: { channels: 3, height: 4, width: 5, kernel: [2, 2], stride: [1, 1], padding: [0, 0] } }

function input (shape: [number, number], seed: number): tf.Tensor2D {
  return tf.tensor2d(uniform(shape, seeded(seed)).values, shape)
}

/** A loss that is linear in nothing. */
function loss (output: tf.Tensor): tf.Scalar {
  return tf.mean(tf.add(tf.square(tf.tanh(output)), tf.exp(tf.mul(output, -0.5))))
}

describe('gl: (IA)³', () => {
  before(async () => { await startBackend() })

  for (const spec of SPECS) {
    it(`has the gradient that back-propagation through l ⊙ f(x) gives, ${JSON.stringify(spec)}`, () => {
      const before = tf.memory().numTensors
      for (const site of [...SITES, CONVOLUTION]) {
        const tensors = randomAdapter(spec, [site], seeded(1)).get(site.name)!
        const auxiliary = new Auxiliary(spec, site, { tensors })
        const alpha = (spec.alphas?.[site.name] ?? spec.alpha) / spec.rank
        tf.tidy(() => {
          const output = input([12, site.outFeatures], 2) // f(x) of twelve places
          const x = site.convolution === undefined ? input([12, site.inFeatures], 3) : input([20, 3], 3)
          const l = tf.tensor2d(tensors.get('ia3_l')!.values, [site.outFeatures, 1])
          const adapted = (w: tf.Tensor): tf.Tensor => tf.mul(output, tf.add(1, tf.mul(tf.sub(tf.reshape(w, [-1]), 1), alpha)))
          const expected = tf.grad((w: tf.Tensor) => loss(adapted(w)))(l)
          const gradient = tf.grad(loss)(adapted(l)) as tf.Tensor2D
          const actual = auxiliary.gradients(x, gradient, { output }).get('ia3_l')!
          expect(actual.shape).to.deep.equal([site.outFeatures, 1])
          expect(relativeError(actual.dataSync(), expected.dataSync()), site.name).to.be.below(1e-5)
          const sum = tf.add(output, applyAuxiliary(spec, site, x, [...auxiliary.parameters.values()], { output }))
          expect(relativeError(sum.dataSync(), adapted(l).dataSync()), site.name).to.be.below(1e-6)
        })
        auxiliary.dispose()
      }
      expect(tf.memory().numTensors).to.equal(before)
    })
  }

  it('gives 0 at its start', () => {
    const auxiliary = new Auxiliary(SPECS[0], SITES[0], { seed: 1 })
    const added = tf.tidy(() => applyAuxiliary(SPECS[0], SITES[0], input([4, 3], 1), [...auxiliary.parameters.values()], { output: input([4, 5], 2) }).dataSync())
    expect([...added].every(value => value === 0)).to.equal(true)
    auxiliary.dispose()
  })

  it('cannot do without what the module gives itself', () => {
    const before = tf.memory().numTensors
    const auxiliary = new Auxiliary(SPECS[0], SITES[0], { seed: 1 })
    expect(() => tf.tidy(() => { auxiliary.gradients(input([4, 3], 1), input([4, 5], 2)) })).to.throw().with.property('name', 'InvalidTensorError')
    auxiliary.dispose()
    expect(tf.memory().numTensors).to.equal(before)
  })

  it('is not of embeddings, of which PEFT has none', () => {
    expect(() => parameterShapes(SPECS[0], { name: 'wte', inFeatures: 7, outFeatures: 3, embedding: true })).to.throw().with.property('name', 'InvalidOptionError')
  })
})
