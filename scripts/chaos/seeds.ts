import { InvalidOptionError } from '../../src/errors.js'

/** `7`, or `1-300`. @throws {InvalidOptionError} */
export function seedsOf (range: string): number[] {
  const [first, last = first, ...more] = range.split('-').map(word => /^\d+$/.test(word) ? Number(word) : NaN)
  if (more.length > 0 || !Number.isSafeInteger(first) || !Number.isSafeInteger(last) || last < first) {
    throw new InvalidOptionError(`--seeds ${range} is not possible; use a whole number, or two as in 1-300`)
  }
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
