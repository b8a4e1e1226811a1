import * as tf from '@tensorflow/tfjs'

/** The least float32: where a score has it added, softmax gives 0 (and 1/length where all have it, as transformers does). */
const MASKED = -3.4028234663852886e38

/** What of a batch decides who may look at whom. */
export interface Visibility {
  /** 1 where there is a token, 0 where there is padding, `[rows, length]`. */
  readonly attentionMask: tf.Tensor2D
  /** Added to all scores of a key: −∞ for what fills a row up, so that not even a token that sees nothing sees that; else 0. `[rows, length]` */
  readonly fillBias: tf.Tensor2D
  /** @default each row's tokens are counted from 0, and look at one another */
  readonly positions?: Positions
}

/** Where tokens stand in their row; integers. */
export interface Positions {
  /** Of those that look, `[length]`. */
  readonly queries: tf.Tensor1D
  /** Of those that may be looked at, `[keys]`. */
  readonly keys: tf.Tensor1D
}

/**
 * Added to the scores where each position looks at itself and what is before it, but at no padding.
 *
 * @param window how many positions back it looks, itself included. @default all
 * @returns `[rows, 1, length, keys]`
 */
export function causalBias ({ attentionMask, fillBias, positions }: Visibility, window = Infinity): tf.Tensor4D {
  const [rows, keys] = attentionMask.shape
  const before = positions === undefined ? triangle(keys, window) : between(positions, window) // [1, 1, length, keys]
  const seen = tf.mul(before, tf.reshape(attentionMask, [rows, 1, 1, keys]))
  return tf.add(tf.mul(tf.sub(1, seen), MASKED), tf.reshape(fillBias, [rows, 1, 1, keys]))
}

/**
 * Added to the scores where each position looks at all of another text, or of its own, but at no padding.
 *
 * @returns `[rows, 1, 1, keys]`
 */
export function bidirectionalBias ({ attentionMask, fillBias }: Omit<Visibility, 'positions'>): tf.Tensor4D {
  const [rows, keys] = attentionMask.shape
  const bias = tf.add(tf.mul(tf.sub(1, attentionMask), MASKED), fillBias) // [rows, keys]
  return tf.reshape(bias, [rows, 1, 1, keys])
}

/** 1 where a position looks; known without the numbers of any tensor. */
function triangle (length: number, window: number): tf.Tensor4D {
  const before = Float32Array.from({ length: length * length }, (_, i) => {
    const distance = Math.floor(i / length) - i % length
    return distance >= 0 && distance < window ? 1 : 0
  })
  return tf.tensor4d(before, [1, 1, length, length])
}

function between ({ queries, keys }: Positions, window: number): tf.Tensor4D {
  const distance = tf.sub(tf.reshape(queries, [1, 1, -1, 1]), tf.reshape(keys, [1, 1, 1, -1])) // [1, 1, length, keys]
  const back: tf.Tensor4D = tf.greaterEqual(distance, 0)
  return tf.cast(window === Infinity ? back : tf.logicalAnd<tf.Tensor4D>(back, tf.less(distance, window)), 'float32')
}

/**
 * softmax(scale·Q·Kᵀ + bias)·V (Vaswani et al. 2017, equation 1). Where there are fewer heads of keys and values, as many
 * neighbouring heads of queries share each (grouped-query attention, arXiv 2305.13245), without a copy of it.
 *
 * @param query `[rows, heads, length, size]`
 * @param key `[rows, groups, keys, size]`
 * @param value `[rows, groups, keys, size]`
 * @param bias `[rows, heads, length, keys]`, or 1 where it is the same along an axis
 * @returns `[rows, heads, length, size]`
 */
export function attention (query: tf.Tensor4D, key: tf.Tensor4D, value: tf.Tensor4D, bias: tf.Tensor4D, scale: number): tf.Tensor4D {
  const [rows, heads, length, size] = query.shape
  const [, groups, keys] = key.shape
  const shared = heads / groups
  const scores = tf.mul<tf.Tensor4D>(tf.matMul(grouped(query, [rows, groups, shared * length, size]), key, false, true), scale) // [rows, groups, shared·length, keys]
  const weights = tf.softmax(tf.add<tf.Tensor4D>(grouped(scores, [rows, heads, length, keys]), bias))
  return grouped(tf.matMul(grouped(weights, [rows, groups, shared * length, keys]), value), [rows, heads, length, size])
}

function grouped (x: tf.Tensor4D, shape: tf.Tensor4D['shape']): tf.Tensor4D {
  return x.shape.join() === shape.join() ? x : tf.reshape(x, shape)
}
