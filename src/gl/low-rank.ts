import * as tf from '@tensorflow/tfjs'
import type { Site } from '../types.js'

/** g(x) = B·A·x, the shape of LoRA (arXiv 2106.09685): A `[r, in]`, B `[out, r]`. */
export function shapes ({ inFeatures, outFeatures }: Site, rank: number): Map<string, [number, number]> {
  return new Map([['lora_A.weight', [rank, inFeatures]], ['lora_B.weight', [outFeatures, rank]]])
}

/** A kaiming-uniform with a = √5, which is ±1/√in; B zero. */
export function initial ({ inFeatures, outFeatures }: Site, rank: number, seed: number): tf.Tensor2D[] {
  const bound = 1 / Math.sqrt(inFeatures)
  return [tf.randomUniform([rank, inFeatures], -bound, bound, 'float32', seed), tf.zeros([outFeatures, rank])]
}

export function apply (x: tf.Tensor2D, [a, b]: readonly tf.Tensor2D[]): tf.Tensor2D {
  const inner = tf.matMul(x, a, false, true) // [tokens, r]
  return tf.matMul(inner, b, false, true) // [tokens, out]
}
