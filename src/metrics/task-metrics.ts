import { accuracy } from './accuracy.js'
import { f1 } from './f1.js'
import { matthews } from './matthews.js'
import { meanSquaredError } from './mean-squared-error.js'
import { checkPairs } from './pairs.js'
import { pearson } from './pearson.js'
import { rouge } from './rouge.js'
import { spearman } from './spearman.js'

/** What a model said of examples, and what it should have said; of a causal model its loss says all. */
export type Outcome =
  | { readonly task: 'classification', readonly classes: number, readonly predictions: readonly number[], readonly labels: readonly number[] }
  | { readonly task: 'regression', readonly predictions: readonly number[], readonly labels: readonly number[] }
  | { readonly task: 'sequence-to-sequence', readonly predictions: readonly string[], readonly labels: readonly string[] }
  | { readonly task: 'causal' }

/** Numbers by name; null where one is undefined. */
export type Metrics = Readonly<Record<string, number | null>>

/**
 * What is usually told of a task:
 * - `classification`: `accuracy`, `f1`, `matthews`;
 * - `regression`: `spearman`, `pearson`, `mse`;
 * - `sequence-to-sequence`: `rouge1`, `rouge2`, `rougeL`, each the mean of the examples' F-measures. Hugging Face's
 *   `evaluate` draws samples of the examples at random and gives the median of their means, which is about the same;
 * - `causal`: nothing.
 *
 * @throws {InvalidOptionError} unless there are as many labels as predictions, at least one, that fit the task
 * @throws {NonFiniteError} if a prediction of a regression is not finite
 */
export function taskMetrics (outcome: Outcome): Metrics {
  switch (outcome.task) {
    case 'classification': {
      const { predictions, labels, classes } = outcome
      return { accuracy: accuracy(predictions, labels), f1: f1(predictions, labels, classes), matthews: matthews(predictions, labels) }
    }
    case 'regression': {
      const { predictions, labels } = outcome
      return { spearman: spearman(predictions, labels), pearson: pearson(predictions, labels), mse: meanSquaredError(predictions, labels) }
    }
    case 'sequence-to-sequence':
      return meanRouge(outcome.predictions, outcome.labels)
    case 'causal':
      return {}
  }
}

function meanRouge (predictions: readonly string[], labels: readonly string[]): Metrics {
  checkPairs(predictions, labels)
  const scores = predictions.map((prediction, i) => rouge(prediction, labels[i]))
  const mean = (name: keyof typeof scores[number]): number => scores.reduce((sum, each) => sum + each[name].fmeasure, 0) / scores.length
  return { rouge1: mean('rouge1'), rouge2: mean('rouge2'), rougeL: mean('rougeL') }
}
