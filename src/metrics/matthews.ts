import { type ClassCount, classCounts } from './class-counts.js'

/**
 * Matthews correlation coefficient of classes: 1 where all are right, 0 where predictions say nothing of labels.
 *
 * For two classes it lies in [−1, 1]; for more it is R_K of Gorodkin, "Comparing two K-category assignments by a K-category
 * correlation coefficient" (2004). As in scikit-learn it is 0 where all labels, or all predictions, are one class.
 *
 * @throws {InvalidOptionError} unless both are classes from 0 on, as many of each, at least one
 */
export function matthews (predictions: readonly number[], labels: readonly number[]): number {
  const counts = [...classCounts(predictions, labels).values()]
  const sum = (term: (count: ClassCount) => number): number => counts.reduce((all, count) => all + term(count), 0)
  const total = labels.length
  const ofBoth = total * sum(({ correct }) => correct) - sum(({ labelled, predicted }) => labelled * predicted)
  const ofLabels = total ** 2 - sum(({ labelled }) => labelled ** 2)
  const ofPredictions = total ** 2 - sum(({ predicted }) => predicted ** 2)
  return ofLabels * ofPredictions === 0 ? 0 : ofBoth / Math.sqrt(ofLabels * ofPredictions)
}
