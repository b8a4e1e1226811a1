import * as tf from '@tensorflow/tfjs'
import { squaredNorm } from './squared-norm.js'
import type { UpdateRule } from './update-rule.js'

/** 1 − β₂ is the step's number to this power: the first step has no past. */
const BETA2_DECAY = -0.8
/** PyTorch's: the distance from 1 to the next float32. */
const EPSILON1 = 2 ** -23
/** The least size that a parameter is taken to have, so that one of zeros can move. */
const EPSILON2 = 1e-3
/** d of the paper: the root mean square to which a step is scaled down before the rate. */
const THRESHOLD = 1

/**
 * Adafactor (arXiv 1804.04235, algorithms 4 and 5) as `torch.optim.Adafactor` computes it: steps are relative to the
 * parameter's root mean square, weight decay is decoupled. Of the second moments `[…, rows, columns]` only their means
 * by row and by column are kept; those of a vector or a number as they are.
 */
export function adafactor (weightDecay: number): UpdateRule {
  return {
    slots: shape => new Map(shape.length < 2
      ? [['variance', shape]]
      : [['row_var', shape.with(-1, 1)], ['col_var', shape.with(-2, 1)]]),
    update (parameter, gradient, slots, rate, step) {
      const squares = tf.square(gradient)
      const now = gradient.rank < 2 ? [squares] : [tf.mean(squares, -1, true), tf.mean(squares, -2, true)] // in the shapes of slots
      const share = step ** BETA2_DECAY
      const next = now.map((moments, i) => tf.add(tf.mul(slots[i], 1 - share), tf.mul(moments, share)))
      const moments = tf.maximum(gradient.rank < 2 ? next[0] : product(next[0], next[1]), EPSILON1 ** 2) // as gradient
      const direction = tf.mul(gradient, tf.rsqrt(moments))
      const size = tf.maximum(rootMeanSquare(parameter), EPSILON2)
      const excess = tf.maximum(tf.div(rootMeanSquare(direction), THRESHOLD), 1)
      const change = tf.mul(direction, tf.mul(tf.div(size, excess), Math.min(rate, 1 / Math.sqrt(step))))
      return { parameter: tf.sub(tf.mul(parameter, 1 - rate * weightDecay), change), slots: next }
    }
  }
}

/** Second moments `[…, rows, columns]` of rank 1 from their means `[…, rows, 1]` and `[…, 1, columns]`. */
function product (rows: tf.Tensor, columns: tf.Tensor): tf.Tensor {
  const all = tf.maximum(tf.mean(rows, -2, true), EPSILON1) // […, 1, 1]
  return tf.mul(tf.div(rows, all), columns)
}

function rootMeanSquare (tensor: tf.Tensor): tf.Tensor {
  return tf.sqrt(tf.div(squaredNorm(tensor), tensor.size))
}
