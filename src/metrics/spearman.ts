import { checkNumbers } from './pairs.js'
import { pearson } from './pearson.js'

/**
 * Spearman's rank correlation, in [−1, 1]: Pearson's of the ranks. Equal numbers share the mean of their ranks.
 *
 * @returns null where it is undefined: all predictions, or all labels, are the same number
 * @throws {InvalidOptionError} unless there are as many labels as predictions, at least one, and labels are finite
 * @throws {NonFiniteError} if a prediction is not finite
 */
export function spearman (predictions: readonly number[], labels: readonly number[]): number | null {
  checkNumbers(predictions, labels)
  return pearson(ranks(predictions), ranks(labels))
}

/** From 1 for the smallest. */
function ranks (values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => values[i] - values[j])
  const ranked = values.map(() => 0)
  for (let begin = 0, end = 0; begin < order.length; begin = end) {
    while (end < order.length && values[order[end]] === values[order[begin]]) end++
    for (const i of order.slice(begin, end)) ranked[i] = (begin + 1 + end) / 2
  }
  return ranked
}
