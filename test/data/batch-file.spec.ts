import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readBatchFile } from '../../src/data/batch-file.js'
import { batchOf } from '../../src/tensor/batch.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { TensorData } from '../../src/types.js'
import { FIXTURES, readBatch } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { rejection } from './folder.js'

const ints = (...shape: number[]): TensorData => ({ shape, values: Int32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i) })

describe('readBatchFile', () => {
  const folder = temporaryFolder()

  async function write (tensors: Readonly<Record<string, TensorData>>): Promise<string> {
    const path = join(folder(), 'batch.safetensors')
    await writeFile(path, encodeSafetensors(new Map(Object.entries(tensors))))
    return path
  }

  it('reads int64', async () => {
    expect(await readBatchFile(join(FIXTURES, 'gpt2-odd', 'batch.safetensors'))).to.deep.equal(await readBatch('gpt2-odd'))
  })

  it('reads int32, and takes a missing mask for all ones', async () => {
    const batch = await readBatchFile(await write({ input_ids: ints(2, 3), labels: ints(2, 3) }))
    expect(batch).to.deep.equal(batchOf(new Map([['input_ids', ints(2, 3)], ['labels', ints(2, 3)], ['attention_mask', { shape: [2, 3], values: new Int32Array(6).fill(1) }]])))
  })

  it('reads what is no text as it is', async () => {
    const tensors = { pixel_values: { shape: [2, 1, 2, 1], values: Float32Array.of(1, 2, 3, 4) }, labels: ints(2) }
    expect(await readBatchFile(await write(tensors))).to.deep.equal(batchOf(new Map(Object.entries(tensors))))
  })

  it('refuses a file without tensors', async () => {
    expect(await rejection(readBatchFile(await write({})))).to.have.property('name', 'InvalidTensorError')
  })

  it('refuses a file that is not there, or not safetensors', async () => {
    expect(await rejection(readBatchFile(join(folder(), 'none')))).to.have.property('name', 'InvalidTensorError')
    expect(await rejection(readBatchFile(import.meta.filename))).to.have.property('name', 'InvalidTensorError')
  })
})
