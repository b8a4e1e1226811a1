import { writeFile } from 'node:fs/promises'
import { batchOf } from '../../src/tensor/batch.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { Batch } from '../../src/types.js'
import { uniform } from './uniform.js'

const SEED = 2

/** Random tokens without padding, all of which are labels too; the same for the same sizes. */
export function randomBatch (rows: number, length: number, vocabSize: number): Batch {
  const random = uniform(SEED)
  const inputIds = Int32Array.from({ length: rows * length }, () => Math.floor((random() + 1) / 2 * vocabSize)) // [rows, length]
  const shape = [rows, length]
  return batchOf(new Map([['input_ids', { shape, values: inputIds }], ['attention_mask', { shape, values: new Int32Array(inputIds.length).fill(1) }], ['labels', { shape, values: inputIds }]]))
}

/** As `colanet train --batch` and `peft_step.py` read it. */
export async function writeBatch (path: string, { tensors }: Batch): Promise<void> {
  await writeFile(path, encodeSafetensors(tensors))
}
