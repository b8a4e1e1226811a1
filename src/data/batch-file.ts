import { readFile } from 'node:fs/promises'
import { InvalidBatchError, InvalidTensorError } from '../errors.js'
import { decodeSafetensors, intTensor } from '../tensor/safetensors.js'
import type { Batch, NamedTensors, TensorData } from '../types.js'

/**
 * A batch from a safetensors file with `input_ids`, `attention_mask` and `labels`, integers `[rows, length]` each.
 * Without `attention_mask` every token counts as one.
 *
 * @throws {InvalidTensorError} if the file cannot be read, is not safetensors, or lacks a tensor
 * @throws {InvalidBatchError} if the tensors have not one and the same shape of two axes
 */
export async function readBatchFile (path: string): Promise<Batch> {
  const tensors = await readTensors(path)
  const inputIds = integers(tensors, 'input_ids', path)
  const labels = integers(tensors, 'labels', path)
  const attentionMask = tensors.has('attention_mask')
    ? integers(tensors, 'attention_mask', path)
    : { shape: inputIds.shape, values: new Int32Array(inputIds.values.length).fill(1) }
  if (inputIds.shape.length !== 2) {
    throw new InvalidBatchError(`${path}: input_ids is [${inputIds.shape.join(', ')}]; two axes are needed, [rows, length]`)
  }
  for (const [name, { shape }] of Object.entries({ attention_mask: attentionMask, labels })) {
    if (shape.join() !== inputIds.shape.join()) {
      throw new InvalidBatchError(`${path}: ${name} is [${shape.join(', ')}], input_ids is [${inputIds.shape.join(', ')}]; both must have the same shape`)
    }
  }
  const [rows, length] = inputIds.shape
  return { rows, length, inputIds: inputIds.values, attentionMask: attentionMask.values, labels: labels.values }
}

async function readTensors (path: string): Promise<NamedTensors> {
  try {
    return decodeSafetensors(await readFile(path)).tensors
  } catch (cause) {
    throw new InvalidTensorError(`${path} cannot be read as a batch: ${(cause as Error).message}`, { cause })
  }
}

function integers (tensors: NamedTensors, name: string, path: string): TensorData<Int32Array> {
  try {
    return intTensor(tensors, name)
  } catch (cause) {
    throw new InvalidTensorError(`${path}: ${(cause as Error).message}`, { cause })
  }
}
