import type { Batches } from '../data/batches.js'
import type { BaseModel } from '../model/base-model.js'
import { type Evaluated, evaluateRows, joined, type Scores, scoresOf } from '../node/evaluation.js'
import type { LoadedAdapter } from './loaded-adapter.js'

/** Rows that were evaluated, and what the model was adapted with for them. */
export interface EvaluatedRows {
  readonly batches: Batches
  readonly loaded: LoadedAdapter
}

/** What quantising a base model costs, as it is reported. */
export interface QuantizationCost {
  /** Of the same rows, by the model as it is. */
  readonly unquantized: Pick<Scores, 'loss' | 'perplexity'>
  /** How much greater the loss of the quantised one is. */
  readonly lossDifference: number
}

interface CostOptions {
  /** Called after each batch with those done so far, and all. */
  readonly onProgress: (done: number, total: number) => void
  readonly signal: AbortSignal
}

/**
 * Has the model predict the same rows as it is.
 *
 * @param load gives that model, which is disposed of afterwards
 * @param loss of the quantised one
 */
export async function quantizationCost (load: () => Promise<BaseModel>, rows: readonly EvaluatedRows[], loss: number, { signal, onProgress }: CostOptions): Promise<QuantizationCost> {
  const model = await load()
  try {
    const total = rows.reduce((sum, { batches }) => sum + batches.count, 0)
    const parts: Evaluated[] = []
    let before = 0
    for (const { batches, loaded: { changes, beside } } of rows) {
      await model.merge(changes)
      const first = before
      parts.push(await evaluateRows(model, batches, { beside, signal, onProgress: done => onProgress(first + done, total) }))
      before += batches.count
    }
    const { perplexity, ...unquantized } = scoresOf(joined(parts))
    return { unquantized: { loss: unquantized.loss, ...(perplexity !== undefined && { perplexity }) }, lossDifference: loss - unquantized.loss }
  } finally {
    await model.dispose()
  }
}

export function describeCost ({ unquantized: { loss }, lossDifference }: QuantizationCost): string {
  return `loss ${loss.toFixed(4)} without --base-quantize, which adds ${lossDifference.toFixed(4)} to it (${(100 * lossDifference / loss).toFixed(2)} %)`
}
