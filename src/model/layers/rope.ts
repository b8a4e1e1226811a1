import * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import type { Positions } from './attention.js'
import { withGradient } from './with-gradient.js'

const positive = z.number().positive()

/** Rotary position embeddings as `config.json` describes them: `rope_parameters`, or `rope_scaling` with `type` before that. */
export const ropeParameters = z.discriminatedUnion('rope_type', [
  z.object({ rope_type: z.literal('default'), rope_theta: positive.optional() }),
  z.object({ rope_type: z.literal('linear'), rope_theta: positive.optional(), factor: positive }),
  z.object({
    rope_type: z.literal('llama3'),
    rope_theta: positive.optional(),
    factor: positive,
    low_freq_factor: positive,
    high_freq_factor: positive,
    original_max_position_embeddings: positive
  })
], { error: 'a kind of rotary embedding that is not known; known are default, linear, llama3' })

export type RopeParameters = z.infer<typeof ropeParameters>

/** θ where a configuration says none. */
const DEFAULT_THETA = 10_000

/** cos and sin of each position's angles, `[length, size / 2]`. */
export interface Rotations {
  readonly cos: tf.Tensor2D
  readonly sin: tf.Tensor2D
}

/**
 * The angles of RoFormer (arXiv 2104.09864, equation 15): position times θ^(−2i/size), the frequencies scaled as the
 * parameters say. Rounded to float32 where transformers does.
 *
 * @param size of a head
 */
export function rotations (parameters: RopeParameters, length: number, size: number): Rotations {
  const frequencies = Array.from({ length: size / 2 }, (_, i) => {
    const { rope_theta: theta = DEFAULT_THETA } = parameters
    return scaled(parameters, Math.fround(1 / Math.fround(theta ** Math.fround(2 * i / size))))
  })
  const angles = Array.from({ length }, (_, position) => frequencies.map(frequency => Math.fround(position * frequency))).flat()
  const shape: [number, number] = [length, size / 2]
  return { cos: tf.tensor2d(Float32Array.from(angles, Math.cos), shape), sin: tf.tensor2d(Float32Array.from(angles, Math.sin), shape) }
}

/** The same at given positions, none of which is beyond the number of keys. */
export function rotationsAt (parameters: RopeParameters, { queries, keys }: Positions, size: number): Rotations {
  const { cos, sin } = rotations(parameters, keys.size, size)
  return { cos: tf.gather(cos, queries), sin: tf.gather(sin, queries) } // [length, size / 2]
}

function scaled (parameters: RopeParameters, frequency: number): number {
  switch (parameters.rope_type) {
    case 'default': return frequency
    case 'linear': return Math.fround(frequency / parameters.factor)
    case 'llama3': return llama3(parameters, frequency)
  }
}

/** Llama 3.1: long waves are stretched by the factor, short ones are left, those between by a share of it. */
function llama3 (parameters: Extract<RopeParameters, { rope_type: 'llama3' }>, frequency: number): number {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = parameters
  const waves = original * frequency / (2 * Math.PI) // in the context of the pretraining
  if (waves > high) return frequency
  if (waves < low) return Math.fround(frequency / factor)
  const share = (waves - low) / (high - low)
  return Math.fround((1 - share) * frequency / factor + share * frequency)
}

/**
 * Turns each pair (x_i, x_{i + size/2}) of a head by the angle of its position. The gradient is turned back.
 *
 * @param x `[rows, heads, length, size]`
 */
export function rotate (x: tf.Tensor4D, { cos, sin }: Rotations): tf.Tensor4D {
  return withGradient(x, x => ({
    value: turned(x, cos, sin),
    saved: [cos, sin],
    gradient: (dy, [cos, sin]: [tf.Tensor2D, tf.Tensor2D]) => turned(dy, cos, tf.neg(sin))
  }))
}

function turned (x: tf.Tensor4D, cos: tf.Tensor2D, sin: tf.Tensor2D): tf.Tensor4D {
  const [first, second] = tf.split(x, 2, -1) // [rows, heads, length, size / 2]
  const parts = [tf.sub<tf.Tensor4D>(tf.mul(first, cos), tf.mul(second, sin)), tf.add<tf.Tensor4D>(tf.mul(second, cos), tf.mul(first, sin))]
  return tf.concat(parts, -1)
}
