import { InvalidOptionError } from '../errors.js'
import type { ModelInfo } from '../model/base-model.js'

/** Tokens in a row, unless told otherwise. */
const LENGTH = 128

/**
 * Tokens in a row of data: what was asked for, or else what is usual, or all that the model takes.
 *
 * @throws {InvalidOptionError} if rows would be longer than the model's positions
 */
export function rowLength (asked: number | undefined, { positions, name }: Pick<ModelInfo, 'positions' | 'name'>): number {
  const length = asked ?? Math.min(LENGTH, positions)
  if (length > positions) throw new InvalidOptionError(`rows of ${length} tokens; ${name} has ${positions} positions, use --length ${positions} or less`)
  return length
}
