import * as tf from '@tensorflow/tfjs'
import type { UpdateRule } from './update-rule.js'

const BETA1 = 0.9
const BETA2 = 0.99

/** Lion (arXiv 2302.06675, algorithm 2): each value moves by the rate, and only in which direction is learned. */
export function lion (weightDecay: number): UpdateRule {
  return {
    slots: shape => new Map([['exp_avg', shape]]),
    update (parameter, gradient, [mean], rate) {
      const direction = tf.sign(tf.add(tf.mul(mean, BETA1), tf.mul(gradient, 1 - BETA1)))
      const nextMean = tf.add(tf.mul(mean, BETA2), tf.mul(gradient, 1 - BETA2))
      return { parameter: tf.sub(tf.mul(parameter, 1 - rate * weightDecay), tf.mul(direction, rate)), slots: [nextMean] }
    }
  }
}
