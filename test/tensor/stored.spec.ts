import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import type { SafetensorsDtype } from '../../src/tensor/safetensors.js'
import { readStored, type StoredTensor } from '../../src/tensor/stored.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { failureOf } from '../support/failure.js'

/** 0.5, -2, 1.5, 96 as little-endian bytes, derived by hand. */
const BYTES: Partial<Record<SafetensorsDtype, readonly number[]>> = {
  F32: [0, 0, 0, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0xc0, 0x3f, 0, 0, 0xc0, 0x42],
  F16: [0, 0x38, 0, 0xc0, 0, 0x3e, 0, 0x56],
  BF16: [0, 0x3f, 0, 0xc0, 0xc0, 0x3f, 0xc0, 0x42]
}

describe('tensor: a tensor in a file', () => {
  const folder = temporaryFolder()
  let path: string
  beforeEach(() => { path = join(folder(), 'file') })

  /** The bytes of it, after some others and before some more. */
  async function stored (dtype: SafetensorsDtype, bytes: readonly number[], shape: readonly number[], offset: number): Promise<StoredTensor> {
    await writeFile(path, Uint8Array.from([...Array.from({ length: offset }, () => 0xee), ...bytes, 0xee, 0xee]))
    return { path, offset, bytes: bytes.length, dtype, shape }
  }

  for (const [dtype, bytes] of Object.entries(BYTES)) {
    it(`is read as float32, ${dtype}`, async () => {
      for (const offset of [0, 1, 2, 8, 13]) { // files are not always aligned
        for (const shape of [[4], [2, 2], [1, 4, 1]]) {
          expect(await readStored('w', await stored(dtype as SafetensorsDtype, bytes, shape, offset)), `${shape.join()} at ${offset}`)
            .to.deep.equal({ shape, values: Float32Array.of(0.5, -2, 1.5, 96) })
        }
      }
    })

    it(`is read where it holds nothing, or a scalar, ${dtype}`, async () => {
      expect(await readStored('w', await stored(dtype as SafetensorsDtype, [], [0, 3], 5))).to.deep.equal({ shape: [0, 3], values: new Float32Array(0) })
      const size = bytes.length / 4
      expect(await readStored('w', await stored(dtype as SafetensorsDtype, bytes.slice(0, size), [], 5))).to.deep.equal({ shape: [], values: Float32Array.of(0.5) })
    })

    it(`is refused where the file has become shorter, ${dtype}`, async () => {
      const tensor = await stored(dtype as SafetensorsDtype, bytes, [4], 3)
      for (const length of [3 + bytes.length - 1, 4, 3, 0]) {
        await truncate(path, length)
        const { name, message } = await failureOf(readStored('the.weight', tensor))
        expect(name, `${length} bytes`).to.equal('InvalidTensorError')
        expect(message).to.include('the.weight').and.to.include(path)
      }
    })
  }

  it('is rounded, to nearest even', async () => {
    const near = [0, 0x80, 0x80, 0x3f, 0, 0x80, 0x81, 0x3f] // 1 + 2⁻⁸ and 1 + 3·2⁻⁸, each in the middle of two bfloat16
    const tensor = await stored('F32', near, [2], 1)
    expect([...(await readStored('w', { ...tensor, rounded: 'BF16' })).values]).to.deep.equal([1, 1 + 2 ** -6])
    expect([...(await readStored('w', { ...tensor, rounded: 'F16' })).values]).to.deep.equal([1 + 2 ** -8, 1 + 3 * 2 ** -8])
    expect([...(await readStored('w', { ...await stored('BF16', BYTES.BF16!, [4], 1), rounded: 'BF16' })).values]).to.deep.equal([0.5, -2, 1.5, 96])
  })

  it('is refused where it holds what is too large to be rounded, and keeps what is not finite', async () => {
    const large = [0, 0, 0x80, 0x47, 0, 0, 0x80, 0x7f] // 65536 and infinity
    const tensor = await stored('F32', large, [2], 0)
    const { name, message } = await failureOf(readStored('the.weight', { ...tensor, rounded: 'F16' }))
    expect(name).to.equal('InvalidTensorError')
    expect(message).to.include('the.weight holds 65536')
    expect([...(await readStored('w', { ...tensor, rounded: 'BF16' })).values]).to.deep.equal([65536, Infinity])
  })

  it('is refused where it holds integers, or what we do not read', async () => {
    for (const [dtype, size] of [['I32', 4], ['I64', 8], ['F64', 8], ['U8', 1], ['BOOL', 1]] as const) {
      const { name, message } = await failureOf(readStored('the.weight', await stored(dtype, Array.from({ length: size }, () => 0), [1], 0)))
      expect(name, dtype).to.equal('InvalidTensorError')
      expect(message, dtype).to.include('the.weight')
    }
  })

  it('is a tensor of its own each time', async () => {
    const tensor = await stored('F32', BYTES.F32!, [4], 0)
    const first = await readStored('w', tensor)
    first.values.fill(7)
    expect((await readStored('w', tensor)).values[0]).to.equal(0.5)
  })

  it('says that the file is gone', async () => {
    const error = await failureOf(readStored('w', { path, offset: 0, bytes: 4, dtype: 'F32', shape: [1] }))
    expect((error as NodeJS.ErrnoException).code).to.equal('ENOENT')
  })
})
