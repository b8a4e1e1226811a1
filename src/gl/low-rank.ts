import * as tf from '@tensorflow/tfjs'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'

/** g(x) = B·A·x, the shape of LoRA (arXiv 2106.09685): A `[r, in]` kaiming-uniform with a = √5, which is ±1/√in; B `[out, r]` zero. */
export const lowRank: AuxiliaryDefinition = {
  shapes: ({ inFeatures, outFeatures }, rank) => new Map([['lora_A.weight', [rank, inFeatures]], ['lora_B.weight', [outFeatures, rank]]]),
  initial: ({ inFeatures, outFeatures }, rank, seed) => {
    const bound = 1 / Math.sqrt(inFeatures)
    return [tf.randomUniform([rank, inFeatures], -bound, bound, 'float32', seed), tf.zeros([outFeatures, rank])]
  },
  apply: (x, [a, b]) => {
    const inner = tf.matMul(x, a, false, true) // [tokens, r]
    return tf.matMul(inner, b, false, true) // [tokens, out]
  }
}
