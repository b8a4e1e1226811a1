import { InvalidOptionError, NonFiniteError } from '../errors.js'

/** A metric compares predictions[i] with labels[i], for at least one i. */
export function checkPairs (predictions: readonly unknown[], labels: readonly unknown[]): void {
  if (predictions.length !== labels.length) {
    throw new InvalidOptionError(`there are ${predictions.length} predictions and ${labels.length} labels; each label takes one prediction`)
  }
  if (labels.length === 0) throw new InvalidOptionError('there are no predictions to measure; at least one, with its label, is needed')
}

/** Classes are counted from 0. */
export function checkClasses (predictions: readonly number[], labels: readonly number[]): void {
  checkPairs(predictions, labels)
  for (const [what, values] of [['prediction', predictions], ['label', labels]] as const) {
    const wrong = values.findIndex(value => !Number.isSafeInteger(value) || value < 0)
    if (wrong >= 0) throw new InvalidOptionError(`${what} ${wrong} is ${values[wrong]}; a class is a whole number from 0 on`)
  }
}

/** Numbers that can be summed. */
export function checkNumbers (predictions: readonly number[], labels: readonly number[]): void {
  checkPairs(predictions, labels)
  const [prediction, label] = [predictions, labels].map(values => values.findIndex(value => !Number.isFinite(value)))
  if (label >= 0) throw new InvalidOptionError(`label ${label} is ${labels[label]}; a finite number is needed`)
  if (prediction >= 0) throw new NonFiniteError(`prediction ${prediction} is ${predictions[prediction]}; the weights or the adapter hold values too large for float32`)
}
