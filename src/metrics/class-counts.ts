import { checkClasses } from './pairs.js'

/** How often a class was a label, was predicted, and both at once. */
export interface ClassCount {
  labelled: number
  predicted: number
  correct: number
}

/**
 * @returns a count of each class that is a label or a prediction, by class
 * @throws {InvalidOptionError} unless both are classes from 0 on, as many of each, at least one
 */
export function classCounts (predictions: readonly number[], labels: readonly number[]): ReadonlyMap<number, Readonly<ClassCount>> {
  checkClasses(predictions, labels)
  const counts = new Map<number, ClassCount>()
  const countOf = (name: number): ClassCount => {
    const count = counts.get(name) ?? { labelled: 0, predicted: 0, correct: 0 }
    counts.set(name, count)
    return count
  }
  for (const [i, label] of labels.entries()) {
    countOf(label).labelled++
    countOf(predictions[i]).predicted++
    if (predictions[i] === label) countOf(label).correct++
  }
  return counts
}
