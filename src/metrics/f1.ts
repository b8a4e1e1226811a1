import { InvalidOptionError } from '../errors.js'
import { type ClassCount, classCounts } from './class-counts.js'

/**
 * The harmonic mean of precision and recall, in [0, 1]: of class 1 where there are two classes, as GLUE has it, and
 * where there are more the mean over all that are a label or a prediction (scikit-learn's `macro`).
 *
 * @param classes that the model tells apart, which may be more than occur
 * @throws {InvalidOptionError} unless predictions and labels are below `classes`, as many of each, at least one
 */
export function f1 (predictions: readonly number[], labels: readonly number[], classes: number): number {
  if (!Number.isSafeInteger(classes) || classes < 2) throw new InvalidOptionError(`there are ${classes} classes; F1 takes 2 or more`)
  const counts = classCounts(predictions, labels)
  for (const name of counts.keys()) {
    if (name >= classes) throw new InvalidOptionError(`${name} is a label or a prediction; of ${classes} classes the last is ${classes - 1}`)
  }
  if (classes === 2) return ofClass(counts.get(1))
  return [...counts.values()].reduce((sum, count) => sum + ofClass(count), 0) / counts.size
}

/** 0 for a class that is neither a label nor a prediction. */
function ofClass (count?: ClassCount): number {
  return count === undefined ? 0 : 2 * count.correct / (count.labelled + count.predicted)
}
