import { batchOf } from '../tensor/batch.js'
import type { Batch } from '../types.js'
import { IGNORED, padded, type RowMaker, type RowSet, tokenTensors } from './row-set.js'
import { type EncodedRow, PackedRows, type RowOptions } from './rows.js'
import type { Example } from './split.js'

/** Rows for a causal language model. */
export class TokenRowMaker implements RowMaker<Example> {
  readonly #rows: PackedRows
  readonly #endOfText: number | undefined

  constructor (options: RowOptions) {
    this.#rows = new PackedRows(options)
    this.#endOfText = options.endOfText
  }

  get truncated (): number { return this.#rows.truncated }

  * add (example: Example): Iterable<string> {
    switch (example.kind) {
      case 'text':
        for (const part of example.parts) {
          this.#rows.addText(part)
          yield part
        }
        this.#rows.endText()
        return
      case 'completion':
        this.#rows.addCompletion(example.prompt, example.completion)
        yield example.prompt + example.completion
        return
      case 'conversation':
        this.#rows.addConversation(example.messages, example.source)
        yield example.messages.map(({ content }) => content).join('')
    }
  }

  finish (): RowSet {
    return tokenRows(this.#rows.finish(), this.#endOfText)
  }
}

/** @param endOfText fills rows up, masked; where it is undefined, 0 does */
export function tokenRows (rows: readonly EncodedRow[], endOfText: number | undefined): RowSet {
  return {
    count: rows.length,
    lengthOf: row => rows[row].ids.length,
    batch: async chosen => await Promise.resolve(toBatch(chosen.map(row => rows[row]), endOfText ?? 0)),
    contentOf: row => [rows[row].ids, spansOf(rows[row])]
  }
}

function spansOf ({ spans }: EncodedRow): Int32Array {
  return Int32Array.from(spans.flatMap(({ begin, end }) => [begin, end]))
}

function toBatch (rows: readonly EncodedRow[], fill: number): Batch {
  return batchOf(new Map([
    ...tokenTensors(rows.map(({ ids }) => ids), fill),
    ['labels', padded(rows.map(labelsOf), IGNORED)]
  ]))
}

/** The tokens of its spans. */
function labelsOf ({ ids, spans }: EncodedRow): Int32Array {
  const labels = new Int32Array(ids.length).fill(IGNORED)
  for (const { begin, end } of spans) labels.set(ids.subarray(begin, end), begin)
  return labels
}
