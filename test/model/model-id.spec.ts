import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { describeModel } from '../../src/model/base-model.js'
import { decodeSafetensors, encodeSafetensors, type FloatDtype } from '../../src/tensor/safetensors.js'
import { seeded } from '../merge/random.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { writeModel } from './random-model.js'

describe('the id of a model', () => {
  const folder = temporaryFolder()
  let path: string
  beforeEach(async () => {
    path = join(folder(), 'model')
    await writeModel(path, { vocab_size: 11, n_positions: 8, n_embd: 6, n_layer: 1, n_head: 2 }, seeded(1))
  })

  /** Writes the weights again in another dtype. */
  async function store (dtype: FloatDtype, change: (value: number) => number = value => value): Promise<void> {
    const file = join(path, 'model.safetensors')
    const { tensors } = decodeSafetensors(await readFile(file))
    const changed = new Map([...tensors].map(([name, { shape, values }]) => [name, { shape, values: Float32Array.from(values, change) }]))
    await writeFile(file, encodeSafetensors(changed, { dtype }))
  }

  it('is that of the numbers that it computes with: another where they are rounded', async () => {
    const ids = await Promise.all((['f32', 'bf16', 'f16'] as const).map(async dtype => (await describeModel(path, { dtype })).id))
    expect(new Set(ids).size).to.equal(3)
  })

  for (const [dtype, stored] of [['bf16', 'BF16'], ['f16', 'F16']] as const) {
    it(`does not tell how numbers lie that are kept as they are, ${dtype}`, async () => {
      await store(stored)
      const { id } = await describeModel(path, { dtype })
      expect((await describeModel(path)).id).to.equal(id)
      await store('F32')
      expect((await describeModel(path)).id).to.equal(id)
      expect((await describeModel(path, { dtype })).id).to.equal(id)
    })
  }

  it('is none where numbers are too large for the dtype', async () => {
    await store('F32', value => value * 1e7)
    const { name, message } = await failureOf(describeModel(path, { dtype: 'f16' }))
    expect(name).to.equal('InvalidModelError')
    expect(message).to.include('too large for F16; use bf16 or f32')
    expect((await describeModel(path, { dtype: 'bf16' })).id).to.have.lengthOf(64)
  })
})
