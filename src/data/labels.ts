import { InvalidDataError } from '../errors.js'
import type { TensorData } from '../types.js'

/** Names that are shown at most. */
const SHOWN = 20

/**
 * What a label says: a class by its name or its index, or where the model has none a number. A number is an index whatever
 * the classes are called; text is one only if no class has a number for a name.
 *
 * @param labels names of the model's classes; none where it gives a number
 * @returns the index, or the number
 * @throws {InvalidDataError} naming the source, if it is none of these
 */
export function labelOf (label: string | number, labels: readonly string[], source: string): number {
  if (labels.length === 0) {
    const number = toNumber(label)
    if (!Number.isFinite(number)) throw new InvalidDataError(`${source}: label ${JSON.stringify(label)} is not a number; this model gives one`)
    return number
  }
  const takesIndices = typeof label === 'number' || labels.every(name => Number.isNaN(toNumber(name)))
  const named = typeof label === 'number' ? -1 : labels.indexOf(label)
  const index = takesIndices && named === -1 ? toNumber(label) : named
  if (named !== -1 && labels.includes(labels[named], named + 1)) throw new InvalidDataError(`${source}: ${labels.filter(name => name === label).length} classes of this model are called ${JSON.stringify(label)}; say which by its index, ${named} being the first`)
  if (!(index in labels)) {
    const shown = `${labels.slice(0, SHOWN).join(', ')}${labels.length > SHOWN ? ', …' : ''}`
    throw new InvalidDataError(`${source}: label ${JSON.stringify(label)} is none of this model's, which are ${shown} (id2label of its config.json)${takesIndices ? `, or 0 to ${labels.length - 1}` : ''}`)
  }
  return index
}

/** NaN where text says none. */
function toNumber (label: string | number): number {
  return typeof label === 'string' && label.trim() === '' ? NaN : Number(label)
}

/** Classes as integers, numbers as floats, `[rows]`. */
export function labelTensor (values: readonly number[], labels: readonly string[]): TensorData {
  return { shape: [values.length], values: labels.length === 0 ? Float32Array.from(values) : Int32Array.from(values) }
}
