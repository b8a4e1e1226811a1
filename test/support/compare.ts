/** ‖a − b‖ / ‖b‖: how far a is from what it should be. */
export function relativeError (actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity
  let difference = 0
  let size = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i] - expected[i]) ** 2
    size += expected[i] ** 2
  }
  return Math.sqrt(difference) / Math.max(Math.sqrt(size), Number.MIN_VALUE)
}
