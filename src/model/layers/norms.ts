import * as tf from '@tensorflow/tfjs'
import { withGradient } from './with-gradient.js'

/**
 * n·γ + β over the last axis, where n = (x − mean) / √(variance + ε); x `[tokens, width]`. With d the gradient of n, that of x is
 * (d − mean(d) − n·mean(d·n)) / √(variance + ε).
 */
export function layerNorm (x: tf.Tensor2D, gamma: tf.Tensor1D, beta: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const normal: tf.Tensor2D = withGradient(x, x => {
    const centred = tf.sub<tf.Tensor2D>(x, meanOfRows(x)) // [tokens, width]
    const inverse = tf.rsqrt(tf.add(meanOfRows(tf.square(centred)), epsilon)) // [tokens, 1]
    const normal = tf.mul<tf.Tensor2D>(centred, inverse) // [tokens, width]
    return {
      value: normal,
      saved: [normal, inverse],
      gradient: (dy, [normal, inverse]) => {
        const along = tf.mul(normal, meanOfRows(tf.mul(dy, normal))) // [tokens, width]
        return tf.mul(tf.sub(tf.sub(dy, meanOfRows(dy)), along), inverse)
      }
    }
  })
  return tf.add(tf.mul(normal, gamma), beta)
}

/**
 * n·γ over the last axis, where n = x / √(mean(x²) + ε) (arXiv 1910.07467); x `[rows, width]`. With d the gradient of n, that of x
 * is (d − n·mean(d·n)) / √(mean(x²) + ε).
 */
export function rmsNorm (x: tf.Tensor2D, gamma: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const normal: tf.Tensor2D = withGradient(x, x => {
    const inverse = tf.rsqrt(tf.add(meanOfRows(tf.square(x)), epsilon)) // [rows, 1]
    const normal = tf.mul<tf.Tensor2D>(x, inverse) // [rows, width]
    return {
      value: normal,
      saved: [normal, inverse],
      gradient: (dy, [normal, inverse]) => tf.mul(tf.sub(dy, tf.mul(normal, meanOfRows(tf.mul(dy, normal)))), inverse)
    }
  })
  return tf.mul(normal, gamma)
}

function meanOfRows (x: tf.Tensor2D): tf.Tensor2D {
  return tf.mean<tf.Tensor2D>(x, -1, true) // [rows, 1]
}
