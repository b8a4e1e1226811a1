import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { batchOf } from '../../src/tensor/batch.js'
import { decodeSafetensors } from '../../src/tensor/safetensors.js'
import type { Batch, NamedTensors } from '../../src/types.js'

export const FIXTURES = join(import.meta.dirname, '..', 'fixtures')

export async function readTensors (...path: string[]): Promise<NamedTensors> {
  return decodeSafetensors(await readFile(join(FIXTURES, ...path))).tensors
}

export async function readJson (...path: string[]): Promise<unknown> {
  return JSON.parse(await readFile(join(FIXTURES, ...path), 'utf8')) as unknown
}

export async function readBatch (model: string): Promise<Batch> {
  return batchOf(await readTensors(model, 'batch.safetensors'))
}
