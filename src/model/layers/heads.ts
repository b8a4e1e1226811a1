import * as tf from '@tensorflow/tfjs'

/**
 * The columns of each head by themselves.
 *
 * @param x `[rows·length, heads·size]`
 * @returns `[rows, heads, length, size]`
 */
export function intoHeads (x: tf.Tensor2D, rows: number, heads: number): tf.Tensor4D {
  const [places, width] = x.shape
  return tf.transpose(tf.reshape(x, [rows, places / rows, heads, width / heads]), [0, 2, 1, 3])
}

/**
 * The columns of all heads beside each other again.
 *
 * @param x `[rows, heads, length, size]`
 * @returns `[rows·length, heads·size]`
 */
export function outOfHeads (x: tf.Tensor4D): tf.Tensor2D {
  const [rows, heads, length, size] = x.shape
  return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [rows * length, heads * size])
}
