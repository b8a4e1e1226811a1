import { mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import type { Weights } from '../../src/engine/engine.js'
import { externalWeights, type ExternalWeights } from '../../src/engine/onnx/external-weights.js'
import { OnnxEngine } from '../../src/engine/onnx/onnx-engine.js'
import { fromBfloat16, fromFloat16 } from '../../src/tensor/half.js'
import { encodeSafetensors, type FloatDtype } from '../../src/tensor/safetensors.js'
import { findWeights, type ModelDtype } from '../../src/model/weights.js'
import type { FloatTensor } from '../../src/types.js'
import { uniform } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { failureOf } from '../support/failure.js'

/** Numbers that every dtype holds exactly. */
function tensorsOf (seed: number): Map<string, FloatTensor> {
  const random = seeded(seed)
  return new Map(([['a', [2, 3]], ['b', [5]], ['c', [1]]] as const).map(([name, shape]) =>
    [name, { shape, values: uniform(shape, random).values.map(value => Math.round(value * 64) / 64) }]))
}

const SHAPES = new Map([...tensorsOf(1)].map(([name, { shape }]) => [name, shape]))

const fromHalf = { float16: fromFloat16, bfloat16: fromBfloat16 }

/** What lies at the places that are told. */
async function valuesAt ({ folder, weights }: ExternalWeights): Promise<Map<string, FloatTensor>> {
  return new Map(await Promise.all([...weights].map(async ([name, { location, offset, length, shape, kept }]): Promise<[string, FloatTensor]> => {
    const { buffer } = new Uint8Array((await readFile(join(folder, location))).subarray(offset, offset + length))
    return [name, { shape, values: kept === undefined ? new Float32Array(buffer) : fromHalf[kept](new Uint16Array(buffer)) }]
  })))
}

/** What ONNX Runtime finds there. */
async function valuesInRuntime (weights: Weights): Promise<Map<string, FloatTensor>> {
  const engine = await OnnxEngine.open(weights, { device: 'cpu', threads: 1 })
  try {
    return new Map(await engine.run({ key: 'copy', inputs: new Map(), step: tensor => Object.fromEntries([...weights.keys()].map(name => [`out.${name}`, tf.add(tensor(name), tf.zerosLike(tensor(name)))])) })
      .then(results => [...results].map(([name, { shape, values }]): [string, FloatTensor] => [name.replace('out.', ''), { shape, values: values.slice() }])))
  } finally {
    await engine.dispose()
  }
}

describe('engine: weights in files', () => {
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

  async function write (tensors: ReadonlyMap<string, FloatTensor>, dtype: FloatDtype = 'F32', name = 'model.safetensors'): Promise<string> {
    const path = join(model, name)
    await writeFile(path, encodeSafetensors(tensors, { dtype }))
    return path
  }

  const find = async (from = model, dtype: ModelDtype = 'f32'): Promise<Weights> => await findWeights(from, { weights: SHAPES, prefix: '' }, dtype)
  const cached = async (): Promise<string[]> => (await readdir(join(cache, 'weights'))).sort()
  const noCache = async (): Promise<void> => { expect((await failureOf(readdir(cache)) as NodeJS.ErrnoException).code).to.equal('ENOENT') }

  async function expectValues (weights: Weights, expected: ReadonlyMap<string, FloatTensor>): Promise<ExternalWeights> {
    const external = await externalWeights(weights)
    expect(await valuesAt(external)).to.deep.equal(expected)
    expect(await valuesInRuntime(weights)).to.deep.equal(expected)
    return external
  }

  it('are used where they lie if they are float32', async () => {
    await write(tensorsOf(1))
    const { folder, weights } = await expectValues(await find(), tensorsOf(1))
    expect(folder).to.equal(model)
    for (const { location } of weights.values()) expect(location).to.equal('model.safetensors')
    await noCache()
  })

  it('are used where links lead, as in the cache of the Hub', async () => {
    const [blobs, snapshot] = [join(folder(), 'hub', 'blobs'), join(folder(), 'hub', 'snapshots', 'main')]
    for (const made of [blobs, snapshot]) await mkdir(made, { recursive: true })
    await writeFile(join(blobs, 'abc123'), encodeSafetensors(tensorsOf(1)))
    await symlink(join('..', '..', 'blobs', 'abc123'), join(snapshot, 'model.safetensors'))
    const { weights } = await expectValues(await find(snapshot), tensorsOf(1))
    for (const { location } of weights.values()) expect(location).to.equal('abc123')
    await noCache()
  })

  it('may lie in shards, linked too, and in different folders', async () => {
    const [[first, ...others], other] = [[...tensorsOf(1)], join(folder(), 'other')]
    await mkdir(other)
    await write(new Map([first]), 'F32', 'model-1.safetensors')
    await writeFile(join(other, 'blob'), encodeSafetensors(new Map(others)))
    await symlink(join(other, 'blob'), join(model, 'model-2.safetensors'))
    await writeFile(join(model, 'model.safetensors.index.json'), JSON.stringify({
      weight_map: Object.fromEntries([...SHAPES.keys()].map((name, i) => [name, `model-${i === 0 ? 1 : 2}.safetensors`]))
    }))
    const { folder: common, weights } = await expectValues(await find(), tensorsOf(1))
    expect(common).to.equal(folder())
    expect(new Set([...weights.values()].map(({ location }) => location))).to.deep.equal(new Set([join('model', 'model-1.safetensors'), join('other', 'blob')]))
    await noCache()
  })

  it('may lie in folders of which one begins with the name of the other', async () => {
    const [[first, ...others], other] = [[...tensorsOf(1)], join(folder(), 'model-2')]
    await mkdir(other)
    await write(new Map([first]), 'F32', 'model-1.safetensors')
    await writeFile(join(other, 'blob'), encodeSafetensors(new Map(others)))
    await symlink(join(other, 'blob'), join(model, 'model-2.safetensors'))
    await writeFile(join(model, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors', c: 'model-2.safetensors' } }))
    await expectValues(await find(), tensorsOf(1))
  })

  for (const dtype of ['F16', 'BF16'] as const) {
    it(`are converted once if they are ${dtype}`, async () => {
      await write(tensorsOf(1), dtype)
      await expectValues(await find(), tensorsOf(1))
      const files = await cached()
      expect(files).to.have.lengthOf(1)
      const { mtimeMs, ino } = await stat(join(cache, 'weights', files[0]))
      await expectValues(await find(), tensorsOf(1))
      expect(await cached()).to.deep.equal(files)
      expect(await stat(join(cache, 'weights', files[0]))).to.include({ mtimeMs, ino })
    })

    it(`are converted again if the file of ${dtype} was changed`, async () => {
      const path = await write(tensorsOf(1), dtype)
      await expectValues(await find(), tensorsOf(1))
      await write(tensorsOf(2), dtype)
      await utimes(path, 1, 1) // whatever the clock's grain
      await expectValues(await find(), tensorsOf(2))
      expect(await cached()).to.have.lengthOf(2)
    })
  }

  for (const [dtype, kept, stored] of [['bf16', 'bfloat16', 'BF16'], ['f16', 'float16', 'F16']] as const) {
    it(`are used where they lie if matrices are wanted as ${dtype} and are that, and vectors are float32`, async () => {
      await writeFile(join(model, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors', c: 'model-2.safetensors' } }))
      await write(new Map([...tensorsOf(1)].filter(([name]) => name === 'a')), stored, 'model-1.safetensors')
      await write(new Map([...tensorsOf(1)].filter(([name]) => name !== 'a')), 'F32', 'model-2.safetensors')
      const { weights } = await expectValues(await find(model, dtype), tensorsOf(1))
      expect([...weights.values()].map(({ kept, location }) => [kept, location])).to.deep.equal([
        [kept, 'model-1.safetensors'], [undefined, 'model-2.safetensors'], [undefined, 'model-2.safetensors']
      ])
      await noCache()
    })

    it(`are converted once if matrices are wanted as ${dtype}, those alone that are something else`, async () => {
      await write(tensorsOf(1), 'F32')
      const { weights } = await expectValues(await find(model, dtype), tensorsOf(1))
      expect([...weights.values()].map(({ kept }) => kept)).to.deep.equal([kept, undefined, undefined])
      expect([...weights.values()].map(({ location }) => location.endsWith('model.safetensors'))).to.deep.equal([false, true, true])
      await expectValues(await find(model, dtype), tensorsOf(1))
      expect(await cached()).to.have.lengthOf(1)
      await expectValues(await find(model, dtype === 'f16' ? 'bf16' : 'f16'), tensorsOf(1))
      expect(await cached()).to.have.lengthOf(2)
    })
  }

  it('of several dtypes are converted together', async () => {
    const [first, ...others] = tensorsOf(1)
    await write(new Map([first]), 'F32', 'model-1.safetensors')
    await write(new Map(others), 'BF16', 'model-2.safetensors')
    await writeFile(join(model, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors', c: 'model-2.safetensors' } }))
    await expectValues(await find(), tensorsOf(1))
    expect(await cached()).to.have.lengthOf(1)
  })

  it('are not read from a conversion that was cut short', async () => {
    await write(tensorsOf(1), 'F16')
    await externalWeights(await find())
    const [file] = await cached()
    const whole = await readFile(join(cache, 'weights', file))
    for (const length of [0, 4, whole.byteLength - 4]) {
      await writeFile(join(cache, 'weights', file), whole.subarray(0, length))
      await expectValues(await find(), tensorsOf(1))
    }
    await rm(join(cache, 'weights', file))
    await writeFile(join(cache, 'weights', `${file}.01234567.partial`), whole.subarray(0, 8))
    await expectValues(await find(), tensorsOf(1))
    expect(await cached()).to.include(file)
  })

  it('leave no half-written conversion behind when the model ends too soon', async () => {
    const path = await write(tensorsOf(1), 'F16')
    const weights = await find()
    const bytes = await readFile(path)
    await writeFile(path, bytes.subarray(0, bytes.byteLength - 2))
    expect((await failureOf(externalWeights(weights))).name).to.equal('InvalidTensorError')
    expect(await cached()).to.be.empty
  })

  it('may be converted by two at one moment', async () => {
    await write(tensorsOf(1), 'BF16')
    const weights = await find()
    const both = await Promise.all([externalWeights(weights), externalWeights(weights)])
    for (const external of both) expect(await valuesAt(external)).to.deep.equal(tensorsOf(1))
    expect(await cached()).to.have.lengthOf(1)
  })

  it('say where they cannot be kept, and what helps', async () => {
    await write(tensorsOf(1), 'F16')
    await writeFile(cache, 'a file')
    const { name, message } = await failureOf(externalWeights(await find()))
    expect(name).to.equal('EngineError')
    expect(message).to.include(cache).and.to.include('COLANET_CACHE')
  })

  it('may be none', async () => {
    expect((await externalWeights(new Map())).weights.size).to.equal(0)
    const engine = await OnnxEngine.open(new Map(), { device: 'cpu' })
    const x = { shape: [2], values: Float32Array.of(1, -2) }
    const results = await engine.run({ key: 'negative', inputs: new Map([['x', x]]), step: tensor => ({ y: tf.neg(tensor('x')) }) })
    expect([...results.get('y')!.values]).to.deep.equal([-1, 2])
    await engine.dispose()
  })
})
