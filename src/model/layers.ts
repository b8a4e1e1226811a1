import * as tf from '@tensorflow/tfjs'

/** (x − mean) / √(variance + ε) · γ + β over the last axis; x `[tokens, width]`. */
export function layerNorm (x: tf.Tensor2D, gamma: tf.Tensor1D, beta: tf.Tensor1D, epsilon: number): tf.Tensor2D {
  const centred = tf.sub(x, tf.mean(x, -1, true)) // [tokens, width]
  const variance = tf.mean(tf.mul(centred, centred), -1, true) // [tokens, 1]
  const normal = tf.mul(centred, tf.rsqrt(tf.add(variance, epsilon))) // [tokens, width]
  return tf.add(tf.mul(normal, gamma), beta)
}

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

/** 0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), the GELU of GPT-2. */
function tanhGelu (x: tf.Tensor2D): tf.Tensor2D {
  const cube = tf.mul(tf.mul(x, x), x)
  const inner = tf.mul(tf.add(x, tf.mul(cube, 0.044715)), Math.sqrt(2 / Math.PI))
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(inner), 1))
}

function swish (x: tf.Tensor2D): tf.Tensor2D {
  return tf.mul(x, tf.sigmoid(x))
}
