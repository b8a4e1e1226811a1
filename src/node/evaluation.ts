import type { Batches } from '../data/batches.js'
import { type Metrics, type Outcome, taskMetrics } from '../metrics/task-metrics.js'
import type { Beside } from '../model/beside.js'
import type { PassShape } from '../model/joined-batch.js'
import { IGNORED_LABEL } from '../model/loss.js'
import type { NetworkInfo } from '../model/network.js'
import type { PassOptions, PassResult } from '../model/pass.js'
import type { Batch, FloatTensor, TensorValues } from '../types.js'

/** What a model said of some rows, which can be joined with what it said of others. */
export interface Evaluated {
  readonly rows: number
  /** Predictions that count. */
  readonly tokens: number
  /** Of their losses. */
  readonly sum: number
  readonly outcome: Outcome
}

/** Means over all predictions that count. */
export interface Scores {
  readonly rows: number
  readonly tokens: number
  readonly loss: number
  /** e to the loss, where that is one of tokens. */
  readonly perplexity?: number
  readonly metrics: Metrics
}

export interface EvaluateRowsOptions {
  /** How a model that makes texts of others speaks. @default it need not, and its losses are all that is told */
  readonly speaker?: Speaker
  /** What runs beside the model, for passes of so many rows. @default nothing does */
  readonly beside?: ((rows: number) => Beside) | undefined
  /** Called after each batch with those done so far. */
  readonly onProgress: (done: number) => void
  readonly signal: AbortSignal
}

/** How tokens become text. */
export interface Speaker {
  /** What the model makes of a row's tokens. */
  readonly say: (source: readonly number[]) => Promise<string>
  /** A row's target. */
  readonly decode: (target: readonly number[]) => string
}

/** A model as it is now, which predicts rows. */
export interface Predictions {
  readonly info: NetworkInfo
  pass (batches: readonly Batch[], options: Pick<PassOptions, 'logits' | 'beside'> & { readonly sites: [] }): Promise<ReadonlyArray<Pick<PassResult, 'loss' | 'tokens' | 'logits'>>>
}

/** Has a model predict all rows, as it is now. */
export async function evaluateRows (model: Predictions, batches: Batches, options: EvaluateRowsOptions): Promise<Evaluated> {
  const evaluated: Evaluated[] = []
  for (let i = 0; i < batches.count; i++) {
    options.signal.throwIfAborted()
    const batch = await batches.at(i)
    const { task } = model.info
    const { beside } = options
    const [{ loss, tokens, logits }] = await model.pass([batch], {
      sites: [], logits: task === 'SEQ_CLS' || task === 'IMAGE_CLS', ...(beside && { beside: ({ rows }: PassShape) => beside(rows) })
    })
    const outcome = logits === undefined ? await textsOf(batch, options) : choicesOf(batch, logits, model.info)
    evaluated.push({ rows: batch.rows, tokens, sum: loss * tokens, outcome })
    options.onProgress(i + 1)
  }
  return joined(evaluated)
}

/** All rows as if they had been evaluated together. At least one part, all by models of one kind. */
export function joined (parts: readonly Evaluated[]): Evaluated {
  return parts.reduce((all, { rows, tokens, sum, outcome }) => ({
    rows: all.rows + rows, tokens: all.tokens + tokens, sum: all.sum + sum, outcome: joinedOutcome(all.outcome, outcome)
  }))
}

export function scoresOf ({ rows, tokens, sum, outcome }: Evaluated): Scores {
  const loss = sum / tokens
  const isText = outcome.task === 'causal' || outcome.task === 'sequence-to-sequence'
  return { rows, tokens, loss, ...(isText ? { perplexity: Math.exp(loss) } : {}), metrics: taskMetrics(outcome) }
}

/** Classes, each the one with the highest score, or numbers. */
function choicesOf (batch: Batch, { shape: [rows, classes], values }: FloatTensor, { labels: names }: NetworkInfo): Outcome {
  const labels = [...valuesOf(batch, 'labels')]
  if (names.length === 0) return { task: 'regression', predictions: [...values], labels }
  const counts = (row: number): boolean => labels[row] !== IGNORED_LABEL
  const predictions = Array.from({ length: rows }, (_, row) => highest(values.subarray(row * classes, (row + 1) * classes)))
  return { task: 'classification', classes, predictions: predictions.filter((_, row) => counts(row)), labels: labels.filter((_, row) => counts(row)) }
}

async function textsOf (batch: Batch, { speaker, signal }: EvaluateRowsOptions): Promise<Outcome> {
  if (speaker === undefined) return { task: 'causal' }
  const predictions: string[] = []
  const labels: string[] = []
  for (let row = 0; row < batch.rows; row++) {
    signal.throwIfAborted()
    const mask = rowOf(batch, 'attention_mask', row)
    predictions.push(await speaker.say(rowOf(batch, 'input_ids', row).filter((_, i) => mask[i] === 1)))
    labels.push(speaker.decode(rowOf(batch, 'labels', row).filter(id => id !== IGNORED_LABEL)))
  }
  return { task: 'sequence-to-sequence', predictions, labels }
}

function joinedOutcome (a: Outcome, b: Outcome): Outcome {
  if (a.task === 'causal' || b.task === 'causal') return a
  return { ...a, predictions: [...a.predictions, ...b.predictions], labels: [...a.labels, ...b.labels] } as Outcome
}

function highest (scores: Float32Array): number {
  return scores.reduce((best, score, i) => score > scores[best] ? i : best, 0)
}

function rowOf (batch: Batch, name: string, row: number): number[] {
  const values = valuesOf(batch, name)
  const length = values.length / batch.rows
  return [...values.subarray(row * length, (row + 1) * length)]
}

function valuesOf ({ tensors }: Batch, name: string): TensorValues {
  return tensors.get(name)?.values ?? new Int32Array()
}
