import { checkClasses } from './pairs.js'

/**
 * The share of classes that were predicted, in [0, 1].
 *
 * @throws {InvalidOptionError} unless both are classes from 0 on, as many of each, at least one
 */
export function accuracy (predictions: readonly number[], labels: readonly number[]): number {
  checkClasses(predictions, labels)
  return predictions.filter((prediction, i) => prediction === labels[i]).length / labels.length
}
