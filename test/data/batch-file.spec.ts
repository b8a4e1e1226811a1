import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { readBatchFile } from '../../src/data/batch-file.js'
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
    expect(batch).to.deep.equal({
      rows: 2, length: 3, inputIds: ints(2, 3).values, labels: ints(2, 3).values, attentionMask: new Int32Array(6).fill(1)
    })
  })

  const refused: ReadonlyArray<readonly [what: string, name: string, tensors: Readonly<Record<string, TensorData>>]> = [
    ['no input_ids', 'InvalidTensorError', { labels: ints(2, 3) }],
    ['no labels', 'InvalidTensorError', { input_ids: ints(2, 3) }],
    ['floats', 'InvalidTensorError', { input_ids: ints(2, 3), labels: { shape: [2, 3], values: new Float32Array(6) } }],
    ['one axis', 'InvalidBatchError', { input_ids: ints(6), labels: ints(6) }],
    ['three axes', 'InvalidBatchError', { input_ids: ints(1, 2, 3), labels: ints(1, 2, 3) }],
    ['labels of another shape', 'InvalidBatchError', { input_ids: ints(2, 3), labels: ints(3, 2) }],
    ['a mask of another shape', 'InvalidBatchError', { input_ids: ints(2, 3), labels: ints(2, 3), attention_mask: ints(2, 2) }]
  ]
  for (const [what, name, tensors] of refused) {
    it(`refuses ${what}`, async () => {
      const error = await rejection(readBatchFile(await write(tensors)))
      expect(error).to.have.property('name', name)
      expect(error!.message).to.include(folder())
    })
  }

  it('refuses a file that is not there, or not safetensors', async () => {
    expect(await rejection(readBatchFile(join(folder(), 'none')))).to.have.property('name', 'InvalidTensorError')
    expect(await rejection(readBatchFile(import.meta.filename))).to.have.property('name', 'InvalidTensorError')
  })
})
