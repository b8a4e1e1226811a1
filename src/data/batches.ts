import { InvalidDataError, InvalidOptionError } from '../errors.js'
import type { Batch } from '../types.js'
import { randomOrder } from './random-order.js'
import type { EncodedRow } from './rows.js'

/** Where a label counts for nothing, see `Batch.labels`. */
const IGNORED = -100

interface PaddingOptions {
  /** Fills rows up, masked; where it is undefined, 0 does. */
  readonly endOfText: number | undefined
}

export interface BatchSourceOptions extends PaddingOptions {
  /** Rows in each batch. */
  readonly batchSize: number
  /** Decides the order of the rows. */
  readonly seed: number
}

export interface HeldOutOptions extends PaddingOptions {
  /** Where there are more rows, this many are taken, evenly spaced. @default Infinity */
  readonly maxRows?: number
}

/**
 * Training batches without end. A batch depends on the seed and its number alone, so that to resume needs no more than
 * the number. Every epoch has an order of its own, and a batch may run over from one into the next, so that all have the
 * same number of rows.
 */
export class BatchSource {
  readonly rowsPerEpoch: number
  readonly #rows: readonly EncodedRow[]
  readonly #options: BatchSourceOptions
  #epoch = -1
  #order: Uint32Array = new Uint32Array()

  /**
   * @throws {InvalidDataError} if there are no rows
   * @throws {InvalidOptionError} if the batch size is not a whole number from 1
   */
  constructor (rows: readonly EncodedRow[], options: BatchSourceOptions) {
    if (rows.length === 0) throw new InvalidDataError('there are no rows to train on')
    checkBatchSize(options.batchSize)
    this.rowsPerEpoch = rows.length
    this.#rows = rows
    this.#options = options
  }

  /** @param step from 0 */
  at (step: number): Batch {
    const { batchSize } = this.#options
    const rows = Array.from({ length: batchSize }, (_, i) => this.#row(step * batchSize + i))
    return toBatch(rows, this.#options)
  }

  /** @param position counted over all epochs */
  #row (position: number): EncodedRow {
    const epoch = Math.floor(position / this.rowsPerEpoch)
    if (epoch !== this.#epoch) {
      this.#epoch = epoch
      this.#order = randomOrder(this.rowsPerEpoch, `${this.#options.seed}:${epoch}`)
    }
    return this.#rows[this.#order[position % this.rowsPerEpoch]]
  }
}

/**
 * Batches for evaluation, in the order of the rows; the last may be smaller. No rows make no batches.
 *
 * @throws {InvalidOptionError} if the batch size is not a whole number from 1
 */
export function heldOutBatches (rows: readonly EncodedRow[], batchSize: number, options: HeldOutOptions): Batch[] {
  checkBatchSize(batchSize)
  const count = Math.min(rows.length, options.maxRows ?? Infinity)
  const chosen = Array.from({ length: count }, (_, i) => rows[Math.floor(i * rows.length / count)])
  return Array.from({ length: Math.ceil(count / batchSize) }, (_, i) =>
    toBatch(chosen.slice(i * batchSize, (i + 1) * batchSize), options))
}

/** Rows padded on the right to the longest of them. */
function toBatch (rows: readonly EncodedRow[], { endOfText = 0 }: PaddingOptions): Batch {
  const length = Math.max(...rows.map(({ ids }) => ids.length))
  const inputIds = new Int32Array(rows.length * length).fill(endOfText) // [rows, length]
  const attentionMask = new Int32Array(rows.length * length) // [rows, length]
  const labels = new Int32Array(rows.length * length).fill(IGNORED) // [rows, length]
  for (const [i, { ids, spans }] of rows.entries()) {
    const begin = i * length
    inputIds.set(ids, begin)
    attentionMask.fill(1, begin, begin + ids.length)
    for (const span of spans) labels.set(ids.subarray(span.begin, span.end), begin + span.begin)
  }
  return { rows: rows.length, length, inputIds, attentionMask, labels }
}

function checkBatchSize (batchSize: number): void {
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new InvalidOptionError(`a batch of ${batchSize} rows is not possible; use a whole number from 1`)
  }
}
