import { batchOf } from '../../src/tensor/batch.js'
import type { Batch, TensorData, TensorValues } from '../../src/types.js'

/** What a causal language model takes. */
export interface TokenValues {
  readonly inputIds: Int32Array
  readonly attentionMask: Int32Array
  readonly labels: Int32Array
}

/** Rows of tokens as a batch. */
export function tokenBatch (rows: number, length: number, { inputIds, attentionMask, labels }: TokenValues): Batch {
  const shape = [rows, length]
  return batchOf(new Map([['input_ids', { shape, values: inputIds }], ['attention_mask', { shape, values: attentionMask }], ['labels', { shape, values: labels }]]))
}

/** Rows of zeros. */
export function emptyBatch (rows: number, length: number): Batch {
  const zeros = new Int32Array(rows * length)
  return tokenBatch(rows, length, { inputIds: zeros, attentionMask: zeros, labels: zeros })
}

/** The same batch with other values of one tensor. */
export function withValues (batch: Batch, name: string, change: (values: Int32Array) => TensorValues): Batch {
  const { shape, values } = tensorIn(batch, name)
  return { ...batch, tensors: new Map([...batch.tensors, [name, { shape, values: change(values as Int32Array) }]]) }
}

/** The first rows of a batch of tokens, without its last ones. */
export function partOf (batch: Batch, rows: number, length: number): Batch {
  return batchOf(new Map([...batch.tensors].map(([name, { shape: [, own], values }]) => {
    const cut = Int32Array.from({ length: rows * length }, (_, i) => values[Math.floor(i / length) * own + i % length])
    return [name, { shape: [rows, length], values: cut }]
  })))
}

export function tensorIn ({ tensors }: Batch, name: string): TensorData {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new Error(`the batch has no ${name}`)
  return tensor
}

/** Tokens in a row. */
export function lengthOf (batch: Batch): number {
  return tensorIn(batch, 'input_ids').shape[1]
}
