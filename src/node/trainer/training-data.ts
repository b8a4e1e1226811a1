import { createHash } from 'node:crypto'
import { readBatchFile } from '../../data/batch-file.js'
import { type Batches, BatchSource, heldOutBatches } from '../../data/batches.js'
import { checkBatch } from '../../model/tasks/tasks.js'
import type { RowSet } from '../../data/row-set.js'
import type { Batch, TensorValues } from '../../types.js'
import { loadDataset } from '../dataset.js'
import type { ModelSource } from '../model-source.js'
import type { Reporter } from '../reporter.js'
import type { TrainOptions } from './options.js'

/** What a trainer trains on; nobody but the host sees any of it. */
export interface TrainingData {
  /** What batches are made of; undefined where there is one fixed batch. */
  readonly rows?: RowSet
  /** The batch of a step, which depends on nothing but its number, from 0. */
  readonly at: (step: number) => Promise<Batch>
  /** Never trained on. */
  readonly heldOut: Batches
  /** Two with the same fingerprint give the same batches. */
  readonly fingerprint: string
}

/**
 * Reads `--data` or `--batch`.
 *
 * @throws {InvalidDataError} if there is nothing to train on, or it is no data for this model
 * @throws {InvalidTensorError} or {InvalidBatchError} if the batch file does not hold a batch for this model
 * @throws {InvalidOptionError} if rows would be longer than the model's positions
 */
export async function readTrainingData (options: TrainOptions, source: ModelSource, reporter: Reporter, signal: AbortSignal): Promise<TrainingData> {
  if (options.batch !== undefined) {
    const batch = await readBatchFile(options.batch)
    checkBatch(batch, source.info)
    const contents = [...batch.tensors].flatMap(([name, { shape, values }]) => [Buffer.from(`${name}[${shape.join()}]`), values])
    return { at: async () => await Promise.resolve(batch), heldOut: { count: 0, at: async () => await Promise.resolve(batch) }, fingerprint: fingerprint(contents) }
  }
  const { batchSize, seed, groupByLength, heldOut: heldOutShare, length, data: paths = [] } = options
  const { train, heldOut, truncated, documents } = await loadDataset(source, {
    paths,
    heldOutShare,
    ...(length !== undefined && { length }),
    signal,
    onProgress: (done, total) => reporter.progress('reading data', done, total)
  })
  reporter.log(`${documents} documents: ${train.count} rows to train on, ${heldOut.count} held out${truncated === 0 ? '' : `; ${truncated} were cut to fit`}`)
  const batches = new BatchSource(train, { batchSize, seed, groupByLength })
  return {
    rows: train,
    at: async step => await batches.at(step),
    heldOut: heldOutBatches(heldOut, batchSize, { maxRows: options.heldOutRows }),
    fingerprint: fingerprint(contentsOf([train, heldOut]))
  }
}

function * contentsOf (sets: readonly RowSet[]): Iterable<TensorValues | Buffer> {
  for (const rows of sets) {
    yield Int32Array.of(rows.count)
    for (let row = 0; row < rows.count; row++) yield * rows.contentOf(row)
  }
}

function fingerprint (contents: Iterable<TensorValues | Buffer>): string {
  const hash = createHash('sha256')
  for (const { buffer, byteOffset, byteLength, length } of contents) hash.update(`${length}:`).update(new Uint8Array(buffer, byteOffset, byteLength))
  return hash.digest('hex')
}
