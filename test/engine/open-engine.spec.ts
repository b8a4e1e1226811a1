import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { type Backend, BACKENDS, startBackend } from '../../src/engine/backend.js'
import type { Engine, Weights } from '../../src/engine/engine.js'
import { DEVICES, type EngineOptions, openEngine } from '../../src/engine/open-engine.js'
import type { Step, StepRun } from '../../src/engine/step.js'
import { findWeights } from '../../src/model/weights.js'
import { readStored } from '../../src/tensor/stored.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { failureOf } from '../support/failure.js'

const W = { shape: [2, 2], values: Float32Array.of(1, 2, 3, 4) }

/** A step that can be compiled. */
const product: Step = tensor => ({ y: tf.matMul(tensor('x'), tensor('w')) })
/** Steps that cannot. */
const arc: Step = tensor => ({ y: tf.atan(tf.matMul(tensor('x'), tensor('w'))) })
const whole: Step = tensor => ({ y: tf.ceil(tf.mul(tensor('x'), 0.5)) })

function runOf (step: Step, values: number[], key = 'key'): StepRun {
  return { step, key, inputs: new Map([['x', { shape: [values.length / 2, 2], values: Float32Array.from(values) }]]) }
}

describe('engine: the one that is opened', () => {
  const folder = temporaryFolder()
  let backend: Backend
  let weights: Weights
  let log: string[]
  let engines: Engine[]
  let tensors: number

  before(async () => { backend = await startBackend() })
  beforeEach(async () => {
    await writeFile(join(folder(), 'model.safetensors'), encodeSafetensors(new Map([['w', W]])))
    weights = await findWeights(folder(), { weights: new Map([['w', W.shape]]), prefix: '' })
    expect(await readStored('w', weights.get('w')!)).to.deep.equal(W);
    [log, engines, tensors] = [[], [], tf.memory().numTensors]
  })
  afterEach(async () => {
    for (const engine of engines) await engine.dispose()
    expect(tf.memory().numTensors).to.equal(tensors)
  })

  async function open (options: EngineOptions): Promise<Engine> {
    const engine = await openEngine(weights, options, line => { log.push(line) })
    engines.push(engine)
    return engine
  }

  async function expectProduct (engine: Engine): Promise<void> {
    const results = await engine.run(runOf(product, [1, 0, 2, 1]))
    expect([...results.keys()]).to.deep.equal(['y'])
    expect(results.get('y')!.shape).to.deep.equal([2, 2])
    expect([...results.get('y')!.values]).to.deep.equal([1, 2, 5, 8])
  }

  it('says what it is: compiled', async () => {
    for (const [options, description] of [[{ device: 'cpu' }, 'ONNX Runtime (cpu)'], [{ device: 'cpu', threads: 2 }, 'ONNX Runtime (cpu, 2 threads)'], [{ device: 'cpu', backend: 'auto' }, 'ONNX Runtime (cpu)']] as const) {
      const engine = await open(options)
      expect(engine.name).to.equal('onnxruntime-cpu')
      expect(engine.description).to.equal(description)
      await expectProduct(engine)
    }
    expect(log).to.be.empty
  })

  it('is compiled where nothing is asked for', async () => {
    const engine = await open({})
    expect(engine.name).to.match(/^onnxruntime-(cpu|cuda)$/)
    await expectProduct(engine)
    expect(log).to.be.empty
  })

  it('says what it is: op by op', async () => {
    const engine = await open({ backend: backend.name })
    expect(engine.name).to.equal(backend.name)
    expect(engine.description).to.equal(backend.description)
    await expectProduct(engine)
    expect([...(await engine.run(runOf(whole, [1, 2, 3, 4]))).get('y')!.values]).to.deep.equal([1, 1, 2, 2])
    expect(log).to.be.empty
  })

  it('is none where another backend runs already', async () => {
    const other = BACKENDS.find(name => name !== backend.name)!
    expect((await failureOf(open({ backend: other }))).name).to.equal('BackendError')
  })

  it('is none for a device that is not there, and says what is', async () => {
    for (const device of DEVICES.filter(device => device !== 'auto')) {
      const engine = await open({ device }).catch((error: unknown) => error as Error)
      if (engine instanceof Error) {
        expect(engine.name, device).to.equal('BackendError')
        expect(engine.message).to.include(device).and.to.include('cpu')
      } else {
        expect(engine.name).to.equal(`onnxruntime-${device}`)
        await expectProduct(engine)
      }
    }
    expect(log).to.be.empty
  })

  it('runs op by op what cannot be compiled, and says so once', async () => {
    const engine = await open({ device: 'cpu' })
    for (let i = 0; i < 2; i++) {
      const { values } = (await engine.run(runOf(arc, [1, 0, 2, 1], 'arc'))).get('y')!
      for (const [k, expected] of [1, 2, 5, 8].map(Math.atan).entries()) expect(values[k]).to.be.closeTo(expected, 1e-6)
      expect([...(await engine.run(runOf(whole, [1, 2, 3, 4], 'whole'))).get('y')!.values]).to.deep.equal([1, 1, 2, 2])
      await expectProduct(engine)
    }
    expect(log).to.have.lengthOf(1)
    expect(log[0]).to.include('Atan').and.to.include('atan')
    expect(engine.name).to.equal('onnxruntime-cpu')
  })

  it('says so once also where two such steps come at one moment', async () => {
    const engine = await open({ device: 'cpu' })
    await Promise.all([engine.run(runOf(arc, [1, 0], 'arc')), engine.run(runOf(whole, [1, 0], 'whole'))])
    expect(log).to.have.lengthOf(1)
  })

  it('does not run again what fails for another reason', async () => {
    const engine = await open({ device: 'cpu' })
    const thrown = new Error('of the step')
    let runs = 0
    expect(await failureOf(engine.run(runOf(() => { runs++; throw thrown }, [1, 2])))).to.equal(thrown)
    expect(runs).to.equal(1)
    expect((await failureOf(engine.run(runOf(tensor => ({ y: tensor('none') }), [1, 2])))).message).to.include('none')
    await expectProduct(engine)
    expect(log).to.be.empty
  })

  it('runs more shapes than it keeps sessions of', async () => {
    const engine = await open({ device: 'cpu' })
    for (let round = 0; round < 2; round++) {
      for (let rows = 1; rows <= 12; rows++) {
        const values = Array.from({ length: 2 * rows }, (_, i) => i % 2)
        expect([...(await engine.run(runOf(product, values))).get('y')!.values]).to.deep.equal(Array.from({ length: 2 * rows }, (_, i) => i % 2 === 0 ? 3 : 4))
      }
    }
  })
})
