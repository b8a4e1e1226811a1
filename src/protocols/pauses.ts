/** How pauses between tries grow. */
export interface Pauses {
  /** In milliseconds. */
  readonly first: number
  /** In milliseconds. */
  readonly longest: number
}

/**
 * How long to wait before the next try: twice as long after each failure in a row, and up to a quarter more or less, so
 * that many who lost the same peer do not all come back to it at once.
 *
 * @param failures in a row, from 1
 * @returns milliseconds
 */
export function pauseAfter (failures: number, { first, longest }: Pauses, random: () => number = Math.random): number {
  return Math.min(longest, first * 2 ** (failures - 1)) * (0.75 + random() / 2)
}
