import { InvalidDataError } from '../errors.js'
import type { TensorData } from '../types.js'

/** Names that are shown at most. */
const SHOWN = 20

/**
 * What a label says: a class by its name or its index, or where the model has none a number.
 *
 * @param labels names of the model's classes; none where it gives a number
 * @returns the index, or the number
 * @throws {InvalidDataError} naming the source, if it is none of these
 */
export function labelOf (label: string | number, labels: readonly string[], source: string): number {
  const number = typeof label === 'number' || label.trim() === '' ? label : Number(label)
  if (labels.length === 0) {
    if (typeof number !== 'number' || !Number.isFinite(number)) throw new InvalidDataError(`${source}: label ${JSON.stringify(label)} is not a number; this model gives one`)
    return number
  }
  const named = labels.indexOf(String(label))
  if (named !== -1) return named
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number >= labels.length) {
    const shown = `${labels.slice(0, SHOWN).join(', ')}${labels.length > SHOWN ? ', …' : ''}`
    throw new InvalidDataError(`${source}: label ${JSON.stringify(label)} is none of this model's, which are ${shown} (id2label of its config.json), or 0 to ${labels.length - 1}`)
  }
  return number
}

/** Classes as integers, numbers as floats, `[rows]`. */
export function labelTensor (values: readonly number[], labels: readonly string[]): TensorData {
  return { shape: [values.length], values: labels.length === 0 ? Float32Array.from(values) : Int32Array.from(values) }
}
