import { checkNumbers } from './pairs.js'

/**
 * The mean of (prediction − label)², in the square of the labels' unit.
 *
 * @throws {InvalidOptionError} unless there are as many labels as predictions, at least one, and labels are finite
 * @throws {NonFiniteError} if a prediction is not finite
 */
export function meanSquaredError (predictions: readonly number[], labels: readonly number[]): number {
  checkNumbers(predictions, labels)
  return predictions.reduce((sum, prediction, i) => sum + (prediction - labels[i]) ** 2, 0) / labels.length
}
