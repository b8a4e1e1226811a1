import { InvalidDataError } from '../errors.js'
import { batchOf } from '../tensor/batch.js'
import type { Batch } from '../types.js'
import { IGNORED, padded, type RowMaker, type RowSet, tokenTensors } from './row-set.js'
import type { Example } from './split.js'
import type { WholeTextOptions } from './whole-text.js'

interface TranslationRow {
  readonly ids: Int32Array
  readonly target: Int32Array
}

/** Rows for a model that makes a text of another. */
export class TranslationRowMaker implements RowMaker<Example> {
  readonly #options: WholeTextOptions
  readonly #rows: TranslationRow[] = []
  #truncated = 0

  constructor (options: WholeTextOptions) {
    this.#options = options
  }

  get truncated (): number { return this.#truncated }

  /** @throws {InvalidDataError} naming the source, if no token comes of a text */
  * add (example: Example): Iterable<string> {
    if (example.kind !== 'translation') return
    const { encodeWhole, length } = this.#options
    const [text, target] = [example.text, example.target].map(part => encodeWhole(part, undefined, length))
    if (text.ids.length === 0 || target.ids.length === 0) throw new InvalidDataError(`${example.source}: no token comes of the ${text.ids.length === 0 ? 'source' : 'target'}`)
    this.#rows.push({ ids: Int32Array.from(text.ids), target: Int32Array.from(target.ids) })
    if (text.truncated || target.truncated) this.#truncated++
    yield example.text + example.target
  }

  finish (): RowSet {
    const rows = this.#rows
    return {
      count: rows.length,
      lengthOf: row => Math.max(rows[row].ids.length, rows[row].target.length),
      batch: async chosen => await Promise.resolve(this.#batch(chosen.map(row => rows[row]))),
      contentOf: row => [rows[row].ids, rows[row].target]
    }
  }

  #batch (rows: readonly TranslationRow[]): Batch {
    return batchOf(new Map([
      ...tokenTensors(rows.map(({ ids }) => ids), this.#options.padding),
      ['labels', padded(rows.map(({ target }) => target), IGNORED)]
    ]))
  }
}
