import * as tf from '@tensorflow/tfjs'
import { matrixProduct } from '../engine/matrix-product.js'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'
import { squaredNormsOfRows } from './row-norms.js'

/**
 * g(x) = B·A·x, the shape of LoRA (arXiv 2106.09685): A `[r, in]` kaiming-uniform with a = √5, which is ±1/√in; B `[out, r]`
 * zero. Of an embedding A is zero and B normal, as in PEFT: so each token that comes moves its own column of A at once.
 */
export const lowRank: AuxiliaryDefinition = {
  shapes: ({ inFeatures, outFeatures }, rank) => new Map([['lora_A.weight', [rank, inFeatures]], ['lora_B.weight', [outFeatures, rank]]]),
  initial: ({ inFeatures, outFeatures, embedding = false }, rank, seed) => {
    if (embedding) return [tf.zeros([rank, inFeatures]), tf.randomNormal([outFeatures, rank], 0, 1, 'float32', seed)]
    const bound = 1 / Math.sqrt(inFeatures)
    return [tf.randomUniform([rank, inFeatures], -bound, bound, 'float32', seed), tf.zeros([outFeatures, rank])]
  },
  apply: (site, x, parameters) => {
    const [a, b] = parameters as tf.Tensor2D[]
    const inner = matrixProduct(site, x, a) // [places, r]
    return tf.matMul(inner, b, false, true) // [places, out]
  },
  squaredNorms: (site, x, gradient, parameters) => {
    const [a, b] = parameters as tf.Tensor2D[]
    const [rows, places, outFeatures] = gradient.shape
    const [rank] = a.shape
    const toA: tf.Tensor3D = tf.reshape(tf.matMul(tf.reshape<tf.Rank.R2>(gradient, [-1, outFeatures]), b), [rows, places, rank])
    const inner = matrixProduct(site, x, a) // [places, r]
    return tf.add(squaredNormsOfRows(site, toA, x), squaredNormsOfRows({ inFeatures: rank }, gradient, inner))
  }
}
