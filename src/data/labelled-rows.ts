import { InvalidDataError } from '../errors.js'
import { batchOf } from '../tensor/batch.js'
import type { Batch } from '../types.js'
import { labelOf, labelTensor } from './labels.js'
import { padded, type RowMaker, type RowSet, tokenTensors } from './row-set.js'
import type { Example } from './split.js'
import type { WholeTextOptions } from './whole-text.js'

export interface LabelledOptions extends WholeTextOptions {
  /** Names of the model's classes; none where it gives a number. */
  readonly labels: readonly string[]
}

interface LabelledRow {
  readonly ids: Int32Array
  readonly typeIds: Int32Array
  readonly label: number
}

/** Rows for a model that gives a text, or two, a class or a number. */
export class LabelledRowMaker implements RowMaker<Example> {
  readonly #options: LabelledOptions
  readonly #rows: LabelledRow[] = []
  #truncated = 0

  constructor (options: LabelledOptions) {
    this.#options = options
  }

  get truncated (): number { return this.#truncated }

  /** @throws {InvalidDataError} naming the source, if the model has no such label, or no token comes of the text */
  * add (example: Example): Iterable<string> {
    if (example.kind !== 'labelled') return
    const { text, textPair, source } = example
    const { encodeWhole, labels, length } = this.#options
    const label = labelOf(example.label, labels, source)
    const { ids, typeIds, truncated } = encodeWhole(text, textPair, length)
    if (ids.length === 0) throw new InvalidDataError(`${source}: no token comes of the text`)
    this.#rows.push({ ids: Int32Array.from(ids), typeIds: Int32Array.from(typeIds), label })
    if (truncated) this.#truncated++
    yield text + (textPair ?? '')
  }

  finish (): RowSet {
    const rows = this.#rows
    return {
      count: rows.length,
      lengthOf: row => rows[row].ids.length,
      batch: async chosen => await Promise.resolve(this.#batch(chosen.map(row => rows[row]))),
      contentOf: row => [rows[row].ids, rows[row].typeIds, Float32Array.of(rows[row].label)]
    }
  }

  #batch (rows: readonly LabelledRow[]): Batch {
    const { padding, labels } = this.#options
    const typed = rows.some(({ typeIds }) => typeIds.some(type => type !== 0))
    return batchOf(new Map([
      ...tokenTensors(rows.map(({ ids }) => ids), padding),
      ...(typed ? [['token_type_ids', padded(rows.map(({ typeIds }) => typeIds), 0)] as const] : []),
      ['labels', labelTensor(rows.map(({ label }) => label), labels)]
    ]))
  }
}
