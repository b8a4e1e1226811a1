import * as tf from '@tensorflow/tfjs'
import { matrixProduct } from '../engine/matrix-product.js'
import type { Site } from '../types.js'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'
import { squaredNormsOfRows, squaredNormsOfSums } from './row-norms.js'

/** Widths of the hidden layers, as in the paper (arXiv 2404.13844, section 4.1). */
const HIDDEN = [128, 256] as const

/**
 * A perceptron of two hidden layers with ReLU. Layers start as PyTorch's `nn.Linear` does, uniform within ±1/√from, but for the
 * last, which is zero. It is not linear in x, so that it runs beside the base model.
 */
export const mlp: AuxiliaryDefinition = {
  shapes: site => new Map(widths(site).slice(1).flatMap((to, n) => [
    [`layers.${n}.weight`, [to, widths(site)[n]]],
    [`layers.${n}.bias`, [to]]
  ])),
  initial: (site, _, seed) => {
    const [inFeatures, first, second, outFeatures] = widths(site)
    const uniform = (shape: number[], from: number, own: number): tf.Tensor => tf.randomUniform(shape, -1 / Math.sqrt(from), 1 / Math.sqrt(from), 'float32', seed + own)
    return [
      uniform([first, inFeatures], inFeatures, 0), uniform([first], inFeatures, 1),
      uniform([second, first], first, 2), uniform([second], first, 3),
      tf.zeros([outFeatures, second]), tf.zeros([outFeatures])
    ]
  },
  apply: (site, x, parameters) => {
    const [, , , , w2, b2] = parameters as tf.Tensor2D[]
    const [, second] = hidden(site, x, parameters)
    return tf.add(tf.matMul(second, w2, false, true), b2) // [places, out]
  },
  squaredNorms: (site, x, gradient, parameters) => {
    const [, , w1, , w2] = parameters as tf.Tensor2D[]
    const [first, second] = hidden(site, x, parameters)
    const [, toFirst, toSecond] = widths(site)
    const [rows] = gradient.shape
    // what comes back to the inputs of each ReLU
    const back = (of: tf.Tensor3D, weight: tf.Tensor2D, output: tf.Tensor2D): tf.Tensor3D => {
      const own = tf.matMul<tf.Tensor2D>(tf.reshape(of, [-1, weight.shape[0]]), weight) // [places, width]
      return tf.reshape(tf.mul(own, tf.step(output)), [rows, -1, weight.shape[1]]) // [rows, places, width]
    }
    const atSecond = back(gradient, w2, second)
    const atFirst = back(atSecond, w1, first)
    return tf.addN([
      squaredNormsOfRows(site, atFirst, x), squaredNormsOfSums(atFirst),
      squaredNormsOfRows({ inFeatures: toFirst }, atSecond, first), squaredNormsOfSums(atSecond),
      squaredNormsOfRows({ inFeatures: toSecond }, gradient, second), squaredNormsOfSums(gradient)
    ])
  }
}

/** What the hidden layers give, `[places, 128]` and `[places, 256]`. */
function hidden (site: Site, x: tf.Tensor2D, parameters: readonly tf.Tensor[]): [tf.Tensor2D, tf.Tensor2D] {
  const [w0, b0, w1, b1] = parameters as tf.Tensor2D[]
  const first = tf.relu(tf.add<tf.Tensor2D>(matrixProduct(site, x, w0), b0)) // [places, 128]
  return [first, tf.relu(tf.add<tf.Tensor2D>(tf.matMul(first, w1, false, true), b1))] // [places, 256]
}

function widths ({ inFeatures, outFeatures }: Site): number[] {
  return [inFeatures, ...HIDDEN, outFeatures]
}
