import * as tf from '@tensorflow/tfjs'
import type { Positions } from './attention.js'

/** How distances between positions are told apart. */
export interface Buckets {
  readonly count: number
  /** A distance from which on all are in one bucket. */
  readonly farthest: number
  /** Whether what comes after is told apart from what comes before, each in one half of the buckets. Else all that comes after is as near as can be. */
  readonly bothWays: boolean
}

/**
 * What T5 adds to the scores (arXiv 1910.10683, section 2.1): a number for each head and each bucket of distances.
 *
 * @param table `[buckets, heads]`
 * @param positions none of which is beyond the number of keys
 * @returns `[1, heads, length, keys]`
 */
export function relativeBias (table: tf.Tensor2D, buckets: Buckets, { queries, keys }: Positions): tf.Tensor4D {
  const reach = keys.size - 1
  const known = Int32Array.from({ length: 2 * reach + 1 }, (_, i) => bucketOf(i - reach, buckets))
  const byDistance = tf.gather(table, tf.tensor1d(known, 'int32')) // [2·reach + 1, heads]
  const distance = tf.sub(tf.reshape(keys, [1, -1]), tf.reshape(queries, [-1, 1])) // [length, keys]
  const bias = tf.gather(byDistance, tf.add<tf.Tensor2D>(distance, tf.scalar(reach, 'int32'))) // [length, keys, heads]
  return tf.expandDims(tf.transpose(bias, [2, 0, 1]), 0)
}

/**
 * Near distances have buckets of their own, farther ones share them by their logarithm. Rounded to float32 where transformers does.
 *
 * @param distance from the position that looks to the one that is looked at
 */
export function bucketOf (distance: number, { count, farthest, bothWays }: Buckets): number {
  const there = bothWays ? Math.floor(count / 2) : count
  const first = bothWays && distance > 0 ? there : 0
  const away = bothWays ? Math.abs(distance) : Math.max(0, -distance)
  const near = Math.floor(there / 2)
  if (away < near) return first + away
  const share = Math.fround(Math.fround(Math.log(Math.fround(away / near))) / Math.fround(Math.log(farthest / near)))
  return first + Math.min(there - 1, near + Math.trunc(Math.fround(share * (there - near))))
}
