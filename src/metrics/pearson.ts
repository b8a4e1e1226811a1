import { checkNumbers } from './pairs.js'

/**
 * Pearson correlation, in [−1, 1].
 *
 * @returns null where it is undefined: all predictions, or all labels, are the same number
 * @throws {InvalidOptionError} unless there are as many labels as predictions, at least one, and labels are finite
 * @throws {NonFiniteError} if a prediction is not finite
 */
export function pearson (predictions: readonly number[], labels: readonly number[]): number | null {
  checkNumbers(predictions, labels)
  if ([predictions, labels].some(values => values.every(value => value === values[0]))) return null
  const x = deviations(predictions)
  const y = deviations(labels)
  const correlation = dot(x, y) / (Math.sqrt(dot(x, x)) * Math.sqrt(dot(y, y)))
  return Math.min(Math.max(correlation, -1), 1)
}

/** From the mean, over the largest, so that no square is too large or too small for float64. */
function deviations (values: readonly number[]): number[] {
  const mean = values.reduce((sum, value) => sum + value / values.length, 0)
  const largest = values.reduce((max, value) => Math.max(max, Math.abs(value - mean)), 0)
  return values.map(value => (value - mean) / largest)
}

function dot (x: readonly number[], y: readonly number[]): number {
  return x.reduce((sum, value, i) => sum + value * y[i], 0)
}
