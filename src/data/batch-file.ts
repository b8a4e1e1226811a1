import { readFile } from 'node:fs/promises'
import { InvalidTensorError } from '../errors.js'
import { batchOf } from '../tensor/batch.js'
import { decodeSafetensors } from '../tensor/safetensors.js'
import type { Batch, NamedTensors } from '../types.js'

/**
 * A batch from a safetensors file with tensors under transformers' names, see `Batch`. Where there are `input_ids` without
 * an `attention_mask`, every token counts as one.
 *
 * @throws {InvalidTensorError} if the file cannot be read, is not safetensors, or holds no tensor
 */
export async function readBatchFile (path: string): Promise<Batch> {
  const tensors = await readTensors(path)
  const ids = tensors.get('input_ids')
  if (ids === undefined || tensors.has('attention_mask')) return batchOf(tensors)
  return batchOf(new Map([...tensors, ['attention_mask', { shape: ids.shape, values: new Int32Array(ids.values.length).fill(1) }]]))
}

async function readTensors (path: string): Promise<NamedTensors> {
  try {
    const { tensors } = decodeSafetensors(await readFile(path))
    if (tensors.size === 0) throw new InvalidTensorError('there is no tensor in it')
    return tensors
  } catch (cause) {
    throw new InvalidTensorError(`${path} cannot be read as a batch: ${(cause as Error).message}`, { cause })
  }
}
