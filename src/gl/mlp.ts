import * as tf from '@tensorflow/tfjs'
import { matrixProduct } from '../engine/matrix-product.js'
import type { Site } from '../types.js'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'

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
    const [w0, b0, w1, b1, w2, b2] = parameters as tf.Tensor2D[]
    const first = tf.relu(tf.add<tf.Tensor2D>(matrixProduct(site, x, w0), b0)) // [places, 128]
    const second = tf.relu(tf.add<tf.Tensor2D>(tf.matMul(first, w1, false, true), b1)) // [places, 256]
    return tf.add(tf.matMul(second, w2, false, true), b2) // [places, out]
  }
}

function widths ({ inFeatures, outFeatures }: Site): number[] {
  return [inFeatures, ...HIDDEN, outFeatures]
}
