import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeSafetensors, intTensor } from '../../src/tensor/safetensors.js'
import type { Batch, NamedTensors } from '../../src/types.js'

export const FIXTURES = join(import.meta.dirname, '..', 'fixtures')

export async function readTensors (...path: string[]): Promise<NamedTensors> {
  return decodeSafetensors(await readFile(join(FIXTURES, ...path))).tensors
}

export async function readJson (...path: string[]): Promise<unknown> {
  return JSON.parse(await readFile(join(FIXTURES, ...path), 'utf8')) as unknown
}

export async function readBatch (model: string): Promise<Batch> {
  const tensors = await readTensors(model, 'batch.safetensors')
  const inputIds = intTensor(tensors, 'input_ids')
  return {
    rows: inputIds.shape[0],
    length: inputIds.shape[1],
    inputIds: inputIds.values,
    attentionMask: intTensor(tensors, 'attention_mask').values,
    labels: intTensor(tensors, 'labels').values
  }
}
