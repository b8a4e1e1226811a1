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
 * weight_t · −log softmax(logits_t)[id_t] of each token. Its gradient, (softmax − onehot)·weight, is written out: it is
 * shorter and more exact than what differentiating the logarithm would give. The wanted logits are picked by their
 * place, as the vocabulary is long and a one-hot matrix would be as large as the logits.
 *
 * @param logits `[tokens, vocabulary]`
 * @param ids `[tokens]`, integers
 * @param weights `[tokens]`
 * @returns `[tokens]`
 */
export function crossEntropy (logits: tf.Tensor2D, ids: tf.Tensor1D, weights: tf.Tensor1D): tf.Tensor1D {
  const [tokens, vocabulary] = logits.shape
  const custom = tf.customGrad((x, save) => {
    const scores = x as tf.Tensor2D
    const places = tf.add<tf.Tensor1D>(ids, tf.range(0, tokens * vocabulary, vocabulary, 'int32')) // [tokens]
    const shifted = tf.sub<tf.Tensor2D>(scores, tf.max(scores, -1, true)) // [tokens, vocabulary]
    const exponentials = tf.exp(shifted)
    const sums = tf.sum(exponentials, -1, true) // [tokens, 1]
    const logLikelihood = tf.sub(pick(shifted, places), tf.log(tf.squeeze(sums, [-1]))) // [tokens]
    ;(save as tf.GradSaveFunc)([tf.div(exponentials, sums), places])
    return {
      value: tf.neg(tf.mul(logLikelihood, weights)),
      gradFunc: (dy, saved) => {
        const [softmax, places] = saved as [tf.Tensor2D, tf.Tensor1D]
        const share = tf.mul(weights, dy) // [tokens]
        const scaled = tf.mul<tf.Tensor2D>(softmax, tf.expandDims(share, -1)) // [tokens, vocabulary]
        const picked = tf.sub(pick(scaled, places), share) // [tokens]
        return tf.reshape(tf.tensorScatterUpdate(tf.reshape(scaled, [-1]), tf.expandDims(places, -1), picked), [tokens, vocabulary])
      }
    }
  })
  return custom(logits) as tf.Tensor1D
}

/** The elements at places of the matrix laid out as one row. */
function pick (matrix: tf.Tensor2D, places: tf.Tensor1D): tf.Tensor1D {
  return tf.gather(tf.reshape<tf.Rank.R1>(matrix, [-1]), places)
}
