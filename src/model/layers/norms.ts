import * as tf from '@tensorflow/tfjs'
import { withGradient } from './with-gradient.js'

/**
 * n·γ + β over the last axis, where n = (x − mean) / √(variance + ε); x `[tokens, width]`. With d = dy·γ, the gradient is
 * (d − mean(d) − n·mean(d·n)) / √(variance + ε). There is none of γ and β, which are frozen.
 */
export function layerNorm (x: tf.Tensor2D, gamma: tf.Tensor1D, beta: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  return withGradient(x, x => {
    const centred = tf.sub<tf.Tensor2D>(x, meanOfRows(x)) // [tokens, width]
    const inverse = tf.rsqrt(tf.add(meanOfRows(tf.square(centred)), epsilon)) // [tokens, 1]
    const normal = tf.mul<tf.Tensor2D>(centred, inverse) // [tokens, width]
    return {
      value: tf.add(tf.mul(normal, gamma), beta),
      saved: [normal, inverse],
      gradient: (dy, [normal, inverse]) => {
        const scaled = tf.mul<tf.Tensor2D>(dy, gamma) // [tokens, width]
        const along = tf.mul(normal, meanOfRows(tf.mul(scaled, normal)))
        return tf.mul(tf.sub(tf.sub(scaled, meanOfRows(scaled)), along), inverse)
      }
    }
  })
}

/**
 * n·γ over the last axis, where n = x / √(mean(x²) + ε) (arXiv 1910.07467); x `[rows, width]`. With d = dy·γ, the gradient is
 * (d − n·mean(d·n)) / √(mean(x²) + ε).
 */
export function rmsNorm (x: tf.Tensor2D, gamma: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  return withGradient(x, x => {
    const inverse = tf.rsqrt(tf.add(meanOfRows(tf.square(x)), epsilon)) // [rows, 1]
    const normal = tf.mul<tf.Tensor2D>(x, inverse) // [rows, width]
    return {
      value: tf.mul<tf.Tensor2D>(normal, gamma),
      saved: [normal, inverse],
      gradient: (dy, [normal, inverse]) => {
        const scaled = tf.mul<tf.Tensor2D>(dy, gamma) // [rows, width]
        return tf.mul(tf.sub(scaled, tf.mul(normal, meanOfRows(tf.mul(scaled, normal)))), inverse)
      }
    }
  })
}

function meanOfRows (x: tf.Tensor2D): tf.Tensor2D {
  return tf.mean<tf.Tensor2D>(x, -1, true) // [rows, 1]
}
