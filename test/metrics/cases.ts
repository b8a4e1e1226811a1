import { expect } from 'chai'
import type { RougeScores } from '../../src/metrics/rouge.js'
import { readJson } from '../support/fixtures.js'

/** What scikit-learn, scipy and ROUGE gave: scripts/fixtures_metrics.py. */
export interface ClassificationCase {
  readonly classes: number
  readonly predictions: readonly number[]
  readonly labels: readonly number[]
  readonly accuracy: number
  readonly f1: number
  readonly matthews: number
}

export interface RegressionCase {
  readonly predictions: readonly number[]
  readonly labels: readonly number[]
  readonly pearson: number | null
  readonly spearman: number | null
  readonly mse: number
}

export interface RougeCase extends RougeScores {
  readonly prediction: string
  readonly reference: string
}

export const classificationCases = await readJson('metrics', 'classification.json') as readonly ClassificationCase[]
export const regressionCases = await readJson('metrics', 'regression.json') as readonly RegressionCase[]
export const rougeCases = await readJson('metrics', 'rouge.json') as readonly RougeCase[]

/** To 1e-12 of the expected number, or of 1 where that is larger. */
export function expectNear (actual: number | null, expected: number | null, what: unknown): void {
  const message = JSON.stringify(what).slice(0, 300)
  if (actual === null || expected === null) {
    expect(actual, message).to.equal(expected)
  } else {
    expect(actual, message).to.be.closeTo(expected, 1e-12 * Math.max(1, Math.abs(expected)))
  }
}

/** Pairs of classes that no metric takes. */
export const REFUSED_CLASSES: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []], [[0], []], [[], [0]], [[0, 1], [0]], [[NaN], [0]], [[0], [NaN]], [[-1], [0]], [[0], [-100]], [[0.5], [0]], [[0], [Infinity]], [[2 ** 53], [0]]
]

/** Pairs of numbers that no metric takes, and the error's name. */
export const REFUSED_NUMBERS: readonly (readonly [readonly number[], readonly number[], string])[] = [
  [[], [], 'InvalidOptionError'],
  [[1], [], 'InvalidOptionError'],
  [[1, 2], [1], 'InvalidOptionError'],
  [[1, 2], [1, NaN], 'InvalidOptionError'],
  [[1, 2], [1, Infinity], 'InvalidOptionError'],
  [[1, NaN], [1, 2], 'NonFiniteError'],
  [[-Infinity, 1], [1, 2], 'NonFiniteError']
]
