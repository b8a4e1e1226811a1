import { writeFile } from 'node:fs/promises'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { Batch } from '../../src/types.js'
import { uniform } from './uniform.js'

const SEED = 2

/** Random tokens without padding, all of which are labels too; the same for the same sizes. */
export function randomBatch (rows: number, length: number, vocabSize: number): Batch {
  const random = uniform(SEED)
  const inputIds = Int32Array.from({ length: rows * length }, () => Math.floor((random() + 1) / 2 * vocabSize)) // [rows, length]
  return { rows, length, inputIds, attentionMask: new Int32Array(inputIds.length).fill(1), labels: inputIds }
}

/** As `colanet train --batch` and `peft_step.py` read it. */
export async function writeBatch (path: string, { rows, length, inputIds, attentionMask, labels }: Batch): Promise<void> {
  const shape = [rows, length]
  await writeFile(path, encodeSafetensors(new Map([
    ['input_ids', { shape, values: inputIds }], ['attention_mask', { shape, values: attentionMask }], ['labels', { shape, values: labels }]
  ])))
}
