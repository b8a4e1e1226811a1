import * as tf from '@tensorflow/tfjs'
import type { UpdateRule } from './update-rule.js'

const MOMENTUM = 0.9

/** SGD with Nesterov's momentum as `torch.optim.SGD` computes it. */
export function sgd (weightDecay: number): UpdateRule {
  return {
    slots: shape => new Map([['momentum_buffer', shape]]),
    update (parameter, gradient, [momentum], rate) {
      const decayed = tf.add(gradient, tf.mul(parameter, weightDecay))
      const nextMomentum = tf.add(tf.mul(momentum, MOMENTUM), decayed) // the buffer is zero at first, so it starts as the gradient
      const change = tf.mul(tf.add(decayed, tf.mul(nextMomentum, MOMENTUM)), rate)
      return { parameter: tf.sub(parameter, change), slots: [nextMomentum] }
    }
  }
}
