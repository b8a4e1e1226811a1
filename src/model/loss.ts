import * as tf from '@tensorflow/tfjs'
import { withGradient } from './layers/with-gradient.js'

/** Labels with this value do not count, as in PyTorch and transformers. */
export const IGNORED_LABEL = -100

/**
 * weight_t · −log softmax(logits_t)[id_t] of each token. Its gradient is (softmax − onehot)·weight. The wanted logits are
 * picked by their place, as the vocabulary is long and a one-hot matrix would be as large as the logits; and the
 * logarithm of the sum of exponentials is the one of the largest share, which is never too small for it.
 *
 * @param logits `[tokens, vocabulary]`
 * @param ids `[tokens]`, integers
 * @param weights `[tokens]`
 * @returns `[tokens]`
 */
export function crossEntropy (logits: tf.Tensor2D, ids: tf.Tensor1D, weights: tf.Tensor1D): tf.Tensor1D {
  const [tokens, vocabulary] = logits.shape
  return withGradient(logits, scores => {
    const places: tf.Tensor1D = tf.add(ids, tf.range(0, tokens * vocabulary, vocabulary, 'int32')) // [tokens]
    const softmax = tf.softmax<tf.Tensor2D>(scores) // [tokens, vocabulary]
    const shifted = tf.sub<tf.Tensor1D>(pick(scores, places), tf.max<tf.Tensor1D>(scores, -1)) // [tokens]
    const logLikelihood = tf.add<tf.Tensor1D>(shifted, tf.log<tf.Tensor1D>(tf.max<tf.Tensor1D>(softmax, -1)))
    return {
      value: tf.neg(tf.mul<tf.Tensor1D>(logLikelihood, weights)),
      saved: [softmax, places],
      gradient: (dy, [softmax, places]: [tf.Tensor2D, tf.Tensor1D]) => {
        const share = tf.mul<tf.Tensor1D>(weights, dy) // [tokens]
        const scaled = tf.mul<tf.Tensor2D>(softmax, tf.expandDims(share, -1)) // [tokens, vocabulary]
        const picked = tf.sub<tf.Tensor1D>(pick(scaled, places), share) // [tokens]
        return tf.reshape<tf.Rank.R2>(tf.tensorScatterUpdate(tf.reshape(scaled, [-1]), tf.expandDims(places, -1), picked), [tokens, vocabulary])
      }
    }
  })
}

/**
 * weight · (value − target)² of each row (PyTorch's MSELoss, where weight is 1/rows).
 *
 * @param values `[rows, 1]`
 * @param targets `[rows]`
 * @param weights `[rows]`
 * @returns `[rows]`
 */
export function squaredError (values: tf.Tensor2D, targets: tf.Tensor1D, weights: tf.Tensor1D): tf.Tensor1D {
  return tf.mul(tf.square(tf.sub(tf.reshape<tf.Rank.R1>(values, [-1]), targets)), weights)
}

/** The elements at places of the matrix laid out as one row. */
function pick (matrix: tf.Tensor2D, places: tf.Tensor1D): tf.Tensor1D {
  return tf.gather(tf.reshape<tf.Rank.R1>(matrix, [-1]), places)
}
