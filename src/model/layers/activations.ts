import * as tf from '@tensorflow/tfjs'
import { withGradient } from './with-gradient.js'

/** Activation functions under transformers' names (`ACT2FN`). */
export const ACTIVATIONS: Readonly<Record<string, (x: tf.Tensor2D) => tf.Tensor2D>> = {
  gelu_new: tanhGelu,
  gelu_pytorch_tanh: tanhGelu,
  gelu: x => tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.mul(x, Math.SQRT1_2)), 1)),
  relu: tf.relu,
  silu: swish,
  swish,
  tanh: tf.tanh
}

const GELU_SLOPE = 2 * Math.sqrt(2 / Math.PI)
const GELU_CUBE = 0.044715 * GELU_SLOPE

/**
 * 0.5·x·(1 + tanh(u)), u = √(2/π)·(x + 0.044715·x³), the GELU of GPT-2. Here as x·s, where s = sigmoid(2u) is the same as
 * 0.5·(1 + tanh(u)); its gradient is dy·s·(1 + x·(2u)′·(1 − s)).
 */
function tanhGelu (x: tf.Tensor2D): tf.Tensor2D {
  return withGradient(x, x => {
    const share = tf.sigmoid(tf.mul(x, tf.add(tf.mul(tf.square(x), GELU_CUBE), GELU_SLOPE))) // [tokens, width]
    return {
      value: tf.mul(x, share),
      saved: [x, share],
      gradient: (dy, [x, share]) => {
        const slope = tf.mul(x, tf.add(tf.mul(tf.square(x), 3 * GELU_CUBE), GELU_SLOPE)) // x·(2u)′
        return tf.mul(dy, tf.mul(share, tf.add(tf.mul(slope, tf.sub(1, share)), 1)))
      }
    }
  })
}

function swish (x: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(x, tf.sigmoid(x))
}
