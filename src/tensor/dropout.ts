import type { FloatTensor, TensorData } from '../types.js'
import { randomNumbers } from './random-numbers.js'

/** What decides the masks of one step of one trainer. */
export interface Dropout {
  /** p: the share of values that are dropped, above 0 and below 1. */
  readonly rate: number
  /** See `dropoutKey`. */
  readonly key: string
}

/** What host and trainer both know of a step, so that both draw the same masks. */
export function dropoutKey (seed: number, trainer: string, step: number): string {
  return `${seed}:${trainer}:${step}`
}

/**
 * The mask of what one module gets in one row of a trainer's batch: 0 with a probability of p, else 1/(1 − p), for each value in its
 * order, features of a place after one another. It depends on nothing but the key, the site and the row: not on what else is in the
 * pass, nor on what fills it up.
 *
 * @param target of so many values
 */
export function fillMask (target: Float32Array, { rate, key }: Dropout, site: string, row: number): void {
  const next = randomNumbers(`${key}:${site}:${row}`)
  const kept = 1 / (1 - rate)
  for (let i = 0; i < target.length; i++) target[i] = next() < rate ? 0 : kept
}

/**
 * x of one module times its mask.
 *
 * @param x of a whole batch, its rows after one another
 */
export function dropOut ({ shape, values }: TensorData, rows: number, dropout: Dropout, site: string): FloatTensor {
  const mask = new Float32Array(values.length)
  const size = values.length / rows
  for (let row = 0; row < rows; row++) fillMask(mask.subarray(row * size, (row + 1) * size), dropout, site, row)
  return { shape, values: mask.map((own, i) => own * values[i]) }
}
