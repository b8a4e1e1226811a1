import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { layerNorm, rmsNorm } from '../../../src/model/layers/norms.js'
import { relativeError } from '../../support/compare.js'

const EPSILON = 1e-2

/** Written as in the papers, for TensorFlow.js to differentiate. */
const PLAIN = {
  'layer norm': (x: tf.Tensor2D, gamma: tf.Tensor1D, beta: tf.Tensor1D): tf.Tensor => {
    const { mean, variance } = tf.moments(x, -1, true)
    return tf.add(tf.mul(tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, EPSILON))), gamma), beta)
  },
  'RMS norm': (x: tf.Tensor2D, gamma: tf.Tensor1D): tf.Tensor => tf.mul(tf.div(x, tf.sqrt(tf.add(tf.mean(tf.square(x), -1, true), EPSILON))), gamma)
}

const OURS: Record<keyof typeof PLAIN, (x: tf.Tensor2D, gamma: tf.Tensor1D, beta: tf.Tensor1D) => tf.Tensor> = {
  'layer norm': (x, gamma, beta) => layerNorm(x, gamma, beta, EPSILON),
  'RMS norm': (x, gamma) => rmsNorm(x, gamma, EPSILON)
}

describe('norms with written-out gradients', () => {
  before(async () => { await startBackend() })

  for (const name of ['layer norm', 'RMS norm'] as const) {
    it(`give what automatic differentiation gives: ${name}`, () => {
      const before = tf.memory().numTensors
      for (const [rows, width] of [[1, 1], [3, 5], [4, 64]] as const) {
        const [x, dy] = [1, 2].map(seed => tf.randomNormal<tf.Rank.R2>([rows, width], 0.3, 1, 'float32', seed))
        const [gamma, beta] = [3, 4].map(seed => tf.randomNormal<tf.Rank.R1>([width], 1, 0.5, 'float32', seed))
        const parameters = name === 'layer norm' ? [gamma, beta] : [gamma]
        const at = (f: typeof OURS[typeof name]): { value: tf.Tensor, grads: tf.Tensor[] } =>
          tf.valueAndGrads((x, ...own) => f(x as tf.Tensor2D, ...own as [tf.Tensor1D, tf.Tensor1D]))([x, ...parameters], dy)
        const [ours, plain] = [at(OURS[name]), at(PLAIN[name])]
        expect(relativeError(ours.value.dataSync(), plain.value.dataSync())).to.be.below(1e-5)
        if (width > 1) for (const [i, grad] of plain.grads.entries()) expect(relativeError(ours.grads[i].dataSync(), grad.dataSync()), `by ${i}`).to.be.below(1e-5)
        tf.dispose([x, dy, gamma, beta, ours.value, ...ours.grads, plain.value, ...plain.grads])
      }
      expect(tf.memory().numTensors).to.equal(before)
    })
  }
})
