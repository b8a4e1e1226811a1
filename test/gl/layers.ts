import * as tf from '@tensorflow/tfjs'

/** Of kinds that are functions of x alone: what follows the product with an auxiliary's first matrix, by the others of its parameters. */
export const LAYERS: Readonly<Record<string, (inner: tf.Tensor2D, others: readonly tf.Tensor[]) => tf.Tensor2D>> = {
  'low-rank': (inner, [b]) => tf.matMul(inner, b, false, true),
  linear: inner => inner,
  mlp: (inner, [b0, w1, b1, w2, b2]) => {
    const first = tf.relu(tf.add<tf.Tensor2D>(inner, b0)) // [places, 128]
    const second = tf.relu(tf.add<tf.Tensor2D>(tf.matMul(first, w1 as tf.Tensor2D, false, true), b1)) // [places, 256]
    return tf.add(tf.matMul(second, w2 as tf.Tensor2D, false, true), b2) // [places, out]
  }
}
