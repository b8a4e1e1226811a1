import { createHash } from 'node:crypto'
import { readBatchFile } from '../../data/batch-file.js'
import { BatchSource, heldOutBatches } from '../../data/batches.js'
import { loadData } from '../../data/load.js'
import type { EncodedRow } from '../../data/rows.js'
import { checkBatch } from '../../model/pass.js'
import type { Batch } from '../../types.js'
import type { Reporter } from '../reporter.js'
import { rowLength } from '../row-length.js'
import type { ModelSource } from './model-source.js'
import type { TrainOptions } from './options.js'

/** What a trainer trains on; nobody but the host sees any of it. */
export interface TrainingData {
  /** The batch of a step, which depends on nothing but its number, from 0. */
  readonly at: (step: number) => Batch
  /** Never trained on. */
  readonly heldOut: readonly Batch[]
  /** Two with the same fingerprint give the same batches. */
  readonly fingerprint: string
}

/**
 * Reads `--data` or `--batch`.
 *
 * @throws {InvalidDataError} if there is nothing to train on, or the model cannot be trained on conversations and there are some
 * @throws {InvalidTensorError} or {InvalidBatchError} if the batch file does not hold a batch for this model
 * @throws {InvalidOptionError} if rows would be longer than the model's positions
 */
export async function readTrainingData (options: TrainOptions, source: ModelSource, reporter: Reporter, signal: AbortSignal): Promise<TrainingData> {
  const { info } = source
  if (options.batch !== undefined) {
    const batch = await readBatchFile(options.batch)
    checkBatch(batch, info)
    return { at: () => batch, heldOut: [], fingerprint: fingerprint([batch.inputIds, batch.attentionMask, batch.labels]) }
  }
  const { batchSize, seed } = options
  const length = rowLength(options.length, info)
  const tokenizer = await source.tokenizer()
  const { endOfText, render } = tokenizer
  const { train, heldOut, truncated, documents } = await loadData({
    paths: options.data ?? [],
    heldOutShare: options.heldOut,
    length,
    encode: text => tokenizer.encode(text),
    render,
    endOfText,
    signal,
    onProgress: (done, total) => reporter.progress('tokenising', done, total)
  })
  reporter.log(`${documents} documents: ${train.length} rows of up to ${length} tokens to train on, ${heldOut.length} held out${truncated === 0 ? '' : `; ${truncated} completions or conversations were cut to fit`}`)
  const batches = new BatchSource(train, { batchSize, seed, endOfText })
  return {
    at: step => batches.at(step),
    heldOut: heldOutBatches(heldOut, batchSize, { endOfText, maxRows: options.heldOutRows }),
    fingerprint: fingerprint([...train, ...heldOut].map(({ ids }: EncodedRow) => ids))
  }
}

function fingerprint (rows: readonly Int32Array[]): string {
  const hash = createHash('sha256')
  for (const { buffer, byteOffset, byteLength, length } of rows) hash.update(`${length}:`).update(new Uint8Array(buffer, byteOffset, byteLength))
  return hash.digest('hex')
}
