import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { findWeights } from '../../src/model/weights.js'
import { dequantize, QUANTIZATIONS, quantize, type Quantization } from '../../src/tensor/quantize.js'
import { quantizedCopy } from '../../src/tensor/quantized-copy.js'
import { encodeSafetensors, type FloatDtype } from '../../src/tensor/safetensors.js'
import { readStored, type StoredTensor } from '../../src/tensor/stored.js'
import type { FloatTensor } from '../../src/types.js'
import { uniform } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { failureOf } from '../support/failure.js'
import { temporaryFolder } from '../support/temporary-folder.js'

/** Whole blocks, a short last one, rows across blocks, one value. */
const SHAPES = new Map([['a', [4, 32]], ['b', [5, 13]], ['c', [30, 7]], ['d', [1, 1]]])

function tensorsOf (seed: number): Map<string, FloatTensor> {
  const random = seeded(seed)
  return new Map([...SHAPES].map(([name, shape]) => [name, { shape, values: uniform(shape, random).values.map(value => Math.round(value * 64) / 64) }]))
}

describe('tensor: the quantised copy of a model', () => {
  const folder = temporaryFolder()
  let model: string
  let cache: string
  let former: string | undefined

  beforeEach(async () => {
    [model, cache] = [join(folder(), 'model'), join(folder(), 'cache')]
    former = process.env.COLANET_CACHE
    process.env.COLANET_CACHE = cache
    await mkdir(model)
  })
  afterEach(() => {
    if (former === undefined) delete process.env.COLANET_CACHE
    else process.env.COLANET_CACHE = former
  })

  async function write (tensors: ReadonlyMap<string, FloatTensor>, dtype: FloatDtype = 'F32'): Promise<string> {
    const path = join(model, 'model.safetensors')
    await writeFile(path, encodeSafetensors(tensors, { dtype }))
    return path
  }

  const find = async (): Promise<ReadonlyMap<string, StoredTensor>> => await findWeights(model, { weights: SHAPES, prefix: '' })
  const cached = async (): Promise<string[]> => (await readdir(join(cache, 'weights'))).map(name => join(cache, 'weights', name))

  async function expectCopy (expected: ReadonlyMap<string, FloatTensor>, kind: Quantization): Promise<void> {
    const copy = await quantizedCopy(await find(), kind)
    expect([...copy.keys()]).to.deep.equal([...SHAPES.keys()])
    for (const [name, stored] of copy) {
      const { shape, values } = expected.get(name)!
      const moved = dequantize(kind, quantize(kind, values), values.length)
      expect(await readStored(name, stored), name).to.deep.equal({ shape, values: moved })
      const { error } = stored.quantized!
      expect(error.moved).to.be.closeTo(moved.reduce((sum, value, i) => sum + (value - values[i]) ** 2, 0), 1e-9)
      expect(error.size).to.be.closeTo(values.reduce((sum, value) => sum + value ** 2, 0), 1e-9)
    }
  }

  for (const kind of QUANTIZATIONS) {
    for (const dtype of ['F32', 'F16', 'BF16'] as const) {
      it(`holds what its numbers become, whatever dtype they lie in, ${kind} of ${dtype}`, async () => {
        await write(tensorsOf(1), dtype)
        await expectCopy(tensorsOf(1), kind)
      })
    }

    it(`is made of shards as of one file, ${kind}`, async () => {
      const [first, ...others] = tensorsOf(1)
      await writeFile(join(model, 'model-1.safetensors'), encodeSafetensors(new Map([first])))
      await writeFile(join(model, 'model-2.safetensors'), encodeSafetensors(new Map(others)))
      await writeFile(join(model, 'model.safetensors.index.json'), JSON.stringify({
        weight_map: Object.fromEntries([...SHAPES.keys()].map((name, i) => [name, `model-${i === 0 ? 1 : 2}.safetensors`]))
      }))
      await expectCopy(tensorsOf(1), kind)
      expect(await cached()).to.have.lengthOf(1)
    })

    it(`is made once, and again if the file was changed, ${kind}`, async () => {
      const path = await write(tensorsOf(1))
      await expectCopy(tensorsOf(1), kind)
      const [file] = await cached()
      const { mtimeMs, ino } = await stat(file)
      await expectCopy(tensorsOf(1), kind)
      expect(await stat(file)).to.include({ mtimeMs, ino })
      await write(tensorsOf(2))
      await utimes(path, 1, 1) // whatever the clock's grain
      await expectCopy(tensorsOf(2), kind)
      expect(await cached()).to.have.lengthOf(2)
    })

    it(`is made anew where it was cut short or altered, ${kind}`, async () => {
      await write(tensorsOf(1))
      await expectCopy(tensorsOf(1), kind)
      const [file] = await cached()
      const whole = await readFile(file)
      for (const length of [0, 1, 64, whole.length - 1]) {
        await writeFile(file, whole.subarray(0, length))
        await expectCopy(tensorsOf(1), kind)
        expect(await readFile(file), `${length} bytes`).to.deep.equal(whole)
      }
      for (const at of [0, 70, whole.lastIndexOf(0), whole.length - 10]) {
        await writeFile(file, whole.with(at, whole[at] ^ 1))
        await expectCopy(tensorsOf(1), kind)
        expect(await readFile(file), `byte ${at}`).to.deep.equal(whole)
      }
    })
  }

  it('is another one for each kind', async () => {
    await write(tensorsOf(1))
    for (const kind of QUANTIZATIONS) await expectCopy(tensorsOf(1), kind)
    expect(await cached()).to.have.lengthOf(2)
  })

  it('may be made by two at one moment', async () => {
    await write(tensorsOf(1))
    await Promise.all([expectCopy(tensorsOf(1), 'nf4'), expectCopy(tensorsOf(1), 'nf4')])
    expect(await cached()).to.have.lengthOf(1)
  })

  it('is refused where a number is not finite, and leaves nothing behind', async () => {
    for (const value of [Infinity, NaN]) {
      const tensors = tensorsOf(1)
      tensors.get('b')!.values[3] = value
      await write(tensors)
      const { name, message } = await failureOf(quantizedCopy(await find(), 'nf4'))
      expect(name).to.equal('InvalidTensorError')
      expect(message).to.include(`b holds ${value}`).and.to.include('nf4')
      expect(await cached()).to.be.empty
    }
  })

  it('says where it cannot be kept, and what helps', async () => {
    await write(tensorsOf(1))
    await writeFile(cache, 'a file')
    const { name, message } = await failureOf(quantizedCopy(await find(), 'int8'))
    expect(name).to.equal('EngineError')
    expect(message).to.include(cache).and.to.include('COLANET_CACHE')
  })
})
