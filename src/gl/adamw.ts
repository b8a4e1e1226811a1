import * as tf from '@tensorflow/tfjs'
import type { UpdateRule } from './update-rule.js'

const BETA1 = 0.9
const BETA2 = 0.999
const EPSILON = 1e-8

/** AdamW (arXiv 1711.05101) as `torch.optim.AdamW` computes it. */
export function adamw (weightDecay: number): UpdateRule {
  return {
    slots: shape => new Map([['exp_avg', shape], ['exp_avg_sq', shape]]),
    update (parameter, gradient, [mean, square], rate, step) {
      const nextMean = tf.add(tf.mul(mean, BETA1), tf.mul(gradient, 1 - BETA1))
      const nextSquare = tf.add(tf.mul(square, BETA2), tf.mul(tf.mul(gradient, gradient), 1 - BETA2))
      const denominator = tf.add(tf.div(tf.sqrt(nextSquare), Math.sqrt(1 - BETA2 ** step)), EPSILON)
      const change = tf.mul(tf.div(nextMean, denominator), rate / (1 - BETA1 ** step))
      return { parameter: tf.sub(tf.mul(parameter, 1 - rate * weightDecay), change), slots: [nextMean, nextSquare] }
    }
  }
}
