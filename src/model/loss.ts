import * as tf from '@tensorflow/tfjs'
import type { Batch } from '../types.js'

/** Labels with this value do not count, as in PyTorch and transformers. */
export const IGNORED_LABEL = -100

/** What each position shall predict, and how much it counts in the loss. Both `[rows·length]`. */
export interface Targets {
  readonly ids: Int32Array
  /** 1 / counted positions, or 0 where the label is ignored. */
  readonly weights: Float32Array
  /** Positions that count. */
  readonly tokens: number
}

/** Position t predicts the label of t + 1: the shift of transformers' causal language models. */
export function shiftLabels ({ rows, length, labels }: Batch): Targets {
  const ids = new Int32Array(labels.length)
  const counted: number[] = []
  for (let row = 0; row < rows; row++) {
    for (let t = row * length; t < (row + 1) * length - 1; t++) {
      if (labels[t + 1] === IGNORED_LABEL) continue
      ids[t] = labels[t + 1]
      counted.push(t)
    }
  }
  const weights = new Float32Array(labels.length)
  for (const t of counted) weights[t] = 1 / counted.length
  return { ids, weights, tokens: counted.length }
}

/**
 * weight_t · −log softmax(logits_t)[id_t] of each token. Its gradient, (softmax − onehot)·weight, is written out: it is shorter
 * and more exact than what differentiating the logarithm would give.
 *
 * @param logits `[tokens, vocabulary]`
 * @param ids `[tokens]`, integers
 * @param weights `[tokens]`
 * @returns `[tokens]`
 */
export function crossEntropy (logits: tf.Tensor2D, ids: tf.Tensor1D, weights: tf.Tensor1D): tf.Tensor1D {
  const custom = tf.customGrad((x, save) => {
    const scores = x as tf.Tensor2D
    const shifted = tf.sub(scores, tf.max(scores, -1, true)) // [tokens, vocabulary]
    const exponentials = tf.exp(shifted)
    const sums = tf.sum(exponentials, -1, true) // [tokens, 1]
    const wanted = tf.oneHot(ids, scores.shape[1]) // [tokens, vocabulary]
    const logLikelihood = tf.sub(tf.sum(tf.mul(shifted, wanted), -1), tf.log(tf.squeeze(sums, [-1]))) // [tokens]
    const softmax = tf.div(exponentials, sums)
    ;(save as tf.GradSaveFunc)([softmax, wanted])
    return {
      value: tf.neg(tf.mul(logLikelihood, weights)),
      gradFunc: (dy, saved) => {
        const [probabilities, target] = saved as tf.Tensor2D[]
        const share = tf.expandDims(tf.mul(weights, dy), -1) // [tokens, 1]
        return tf.mul(tf.sub(probabilities, target), share)
      }
    }
  })
  return custom(logits) as tf.Tensor1D
}
