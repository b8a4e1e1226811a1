import { InvalidDataError, InvalidOptionError } from '../errors.js'
import { secretNumbers } from '../tensor/secret-stream.js'
import type { Batch } from '../types.js'
import type { RowSet } from './row-set.js'

export interface PoissonSourceOptions {
  /** Rows in a batch, on average. */
  readonly batchSize: number
  /** Batches that are parts of one drawing. */
  readonly interval: number
  /** Decides what is drawn, see `secretNumbers`. */
  readonly secret: Uint8Array
}

/**
 * Batches for training of which the privacy is accounted for: an interval takes each row with the same probability, whatever
 * else it takes (Poisson sampling), and puts it into one of its batches. So every batch, and the first k of an interval
 * together, are such drawings too, and no row comes twice in an interval. Sizes vary. A batch depends on the secret and its
 * number alone, so that to resume needs no more than these.
 */
export class PoissonSource {
  readonly #rows: RowSet
  readonly #options: PoissonSourceOptions

  /**
   * @throws {InvalidDataError} if there are no rows
   * @throws {InvalidOptionError} if an interval takes more rows than there are
   */
  constructor (rows: RowSet, options: PoissonSourceOptions) {
    const { batchSize, interval } = options
    if (rows.count === 0) throw new InvalidDataError('there are no rows to train on')
    if (batchSize * interval > rows.count) {
      throw new InvalidOptionError(`${interval === 1 ? '' : `an interval of ${interval} `}batches of ${batchSize} rows cannot be drawn from ${rows.count} rows; use a smaller --batch-size${interval === 1 ? '' : ' or --interval'}, or more data`)
    }
    this.#rows = rows
    this.#options = options
  }

  /**
   * @param step from 0
   * @returns undefined where no row was drawn
   */
  async at (step: number): Promise<Batch | undefined> {
    const { batchSize, interval, secret } = this.#options
    const [drawing, part] = [Math.floor(step / interval), step % interval]
    const next = secretNumbers(secret, 'rows', drawing)
    const share = batchSize / this.#rows.count
    const drawn: number[] = []
    for (let row = 0; row < this.#rows.count; row++) {
      if (Math.floor(next() / share) === part) drawn.push(row)
    }
    return drawn.length === 0 ? undefined : await this.#rows.batch(drawn)
  }
}
