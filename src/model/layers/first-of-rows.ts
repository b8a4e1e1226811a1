import * as tf from '@tensorflow/tfjs'

/**
 * What stands first in each row, which tells of the whole of it.
 *
 * @param x `[rows·length, width]`
 * @returns `[rows, width]`
 */
export function firstOfRows (x: tf.Tensor2D, rows: number): tf.Tensor2D {
  const [places, width] = x.shape
  return tf.reshape(tf.slice(tf.reshape(x, [rows, places / rows, width]), [0, 0, 0], [rows, 1, width]), [rows, width])
}
