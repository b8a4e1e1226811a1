import * as tf from '@tensorflow/tfjs'
import type { Site } from '../types.js'

/** g(x) = W·x, W `[out, in]`: what full fine-tuning of the site's weight would train. */
export function shapes ({ inFeatures, outFeatures }: Site): Map<string, [number, number]> {
  return new Map([['weight', [outFeatures, inFeatures]]])
}

export function initial ({ inFeatures, outFeatures }: Site): tf.Tensor2D[] {
  return [tf.zeros([outFeatures, inFeatures])]
}

export function apply (x: tf.Tensor2D, [weight]: readonly tf.Tensor2D[]): tf.Tensor2D {
  return tf.matMul(x, weight, false, true) // [tokens, out]
}
