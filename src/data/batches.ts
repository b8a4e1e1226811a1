import { InvalidDataError, InvalidOptionError } from '../errors.js'
import type { Batch } from '../types.js'
import { randomOrder } from './random-order.js'
import type { RowSet } from './row-set.js'

export interface BatchSourceOptions {
  /** Rows in each batch. */
  readonly batchSize: number
  /** Decides the order of the rows. */
  readonly seed: number
  /** Whether rows of about the same length come together, so that less is filled up. @default false */
  readonly groupByLength?: boolean
}

export interface HeldOutOptions {
  /** Where there are more rows, this many are taken, evenly spaced. @default Infinity */
  readonly maxRows?: number
}

/** Batches that are made when they are wanted. */
export interface Batches {
  readonly count: number
  at (batch: number): Promise<Batch>
}

/** Of so many batches the rows are sorted by length, as by transformers' `LengthGroupedSampler`. */
const GROUPED_BATCHES = 50

/**
 * Training batches without end. A batch depends on the seed and its number alone, so that to resume needs no more than
 * the number. Every epoch has an order of its own, and a batch may run over from one into the next, so that all have the
 * same number of rows.
 */
export class BatchSource {
  readonly #rows: RowSet
  readonly #options: BatchSourceOptions
  #epoch = -1
  #order: Uint32Array = new Uint32Array()

  /**
   * @throws {InvalidDataError} if there are no rows
   * @throws {InvalidOptionError} if the batch size is not a whole number from 1
   */
  constructor (rows: RowSet, options: BatchSourceOptions) {
    if (rows.count === 0) throw new InvalidDataError('there are no rows to train on')
    checkBatchSize(options.batchSize)
    this.#rows = rows
    this.#options = options
  }

  get rowsPerEpoch (): number { return this.#rows.count }

  /** @param step from 0 */
  async at (step: number): Promise<Batch> {
    const { batchSize } = this.#options
    return await this.#rows.batch(Array.from({ length: batchSize }, (_, i) => this.#row(step * batchSize + i)))
  }

  /** @param position counted over all epochs */
  #row (position: number): number {
    const epoch = Math.floor(position / this.rowsPerEpoch)
    if (epoch !== this.#epoch) {
      this.#epoch = epoch
      this.#order = this.#orderOf(epoch)
    }
    return this.#order[position % this.rowsPerEpoch]
  }

  #orderOf (epoch: number): Uint32Array {
    const { seed, groupByLength = false, batchSize } = this.#options
    const order = randomOrder(this.rowsPerEpoch, `${seed}:${epoch}`)
    if (!groupByLength) return order
    const begun = epoch * this.rowsPerEpoch % batchSize
    return this.#grouped(order, begun === 0 ? 0 : batchSize - begun, `${seed}:${epoch}:groups`)
  }

  /**
   * Sorted by length within stretches of the order, and their batches in an order of their own. Of the rows that fill no batch,
   * as many as the batch lacks that the epoch before has begun come first, the others last.
   */
  #grouped (order: Uint32Array, lacking: number, key: string): Uint32Array {
    const { batchSize } = this.#options
    const stretch = GROUPED_BATCHES * batchSize
    const sorted = Array.from({ length: Math.ceil(order.length / stretch) }, (_, i) =>
      [...order.subarray(i * stretch, (i + 1) * stretch)].sort((a, b) => this.#rows.lengthOf(b) - this.#rows.lengthOf(a))).flat()
    const full = Math.floor(Math.max(0, sorted.length - lacking) / batchSize)
    const batches = [...randomOrder(full, key)].map(batch => sorted.slice(batch * batchSize, (batch + 1) * batchSize))
    const rest = sorted.slice(full * batchSize)
    return Uint32Array.from([...rest.slice(0, lacking), ...batches.flat(), ...rest.slice(lacking)])
  }
}

/**
 * Batches for evaluation, in the order of the rows; the last may be smaller. No rows make no batches.
 *
 * @throws {InvalidOptionError} if the batch size is not a whole number from 1
 */
export function heldOutBatches (rows: RowSet, batchSize: number, { maxRows = Infinity }: HeldOutOptions = {}): Batches {
  checkBatchSize(batchSize)
  const count = Math.min(rows.count, maxRows)
  const chosen = Array.from({ length: count }, (_, i) => Math.floor(i * rows.count / count))
  return {
    count: Math.ceil(count / batchSize),
    at: async batch => await rows.batch(chosen.slice(batch * batchSize, (batch + 1) * batchSize))
  }
}

function checkBatchSize (batchSize: number): void {
  if (!Number.isSafeInteger(batchSize) || batchSize < 1) {
    throw new InvalidOptionError(`a batch of ${batchSize} rows is not possible; use a whole number from 1`)
  }
}
