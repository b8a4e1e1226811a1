import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { Optimizer, type OptimizerKind, OPTIMIZERS } from '../../src/gl/optimizer.js'
import { decodeSafetensors, encodeSafetensors } from '../../src/tensor/safetensors.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { readJson } from '../support/fixtures.js'
import { uniform } from './adaptation.js'

/** Five steps of `torch.optim`, or of Lion's paper, see scripts/fixtures.py. */
interface Recorded {
  readonly start: readonly number[]
  readonly gradients: ReadonlyArray<readonly number[]>
  readonly cases: readonly RecordedCase[]
}

interface RecordedCase {
  readonly kind: OptimizerKind
  readonly shape: number[]
  /** What the start is multiplied by. */
  readonly size: number
  /** What the gradients are multiplied by. */
  readonly scale: number
  readonly weightDecay: number
  readonly rate: number
  /** After each step. */
  readonly values: ReadonlyArray<readonly number[]>
}

const SHAPES: ReadonlyArray<[string, number[]]> = [['a', [2, 3]], ['b', [4]], ['c', [1, 1]], ['d', [2, 3, 2]], ['e', []]]

/** One step of every parameter, with gradients that its number decides. */
function step (optimizer: Optimizer, parameters: ReadonlyMap<string, tf.Variable>, number: number): void {
  tf.tidy(() => {
    const random = seeded(number)
    const gradients = [...parameters].map(([name, { shape }]) => [name, tf.tensor(uniform(shape, random).values, shape)] as const)
    optimizer.update(parameters, new Map(gradients), 0.1 / number)
  })
}

function start (values?: ReadonlyArray<ArrayLike<number>>): Map<string, tf.Variable> {
  const random = seeded(9)
  return new Map(SHAPES.map(([name, shape], i) => {
    const own = Float32Array.from(values?.[i] ?? uniform(shape, random).values)
    return [name, tf.tidy(() => tf.variable(tf.tensor(own, shape)))]
  }))
}

async function valuesOf (parameters: ReadonlyMap<string, tf.Variable>): Promise<Float32Array[]> {
  return await Promise.all([...parameters.values()].map(async variable => (await variable.data<'float32'>()).slice()))
}

const dispose = (parameters: ReadonlyMap<string, tf.Variable>): void => tf.dispose([...parameters.values()])

describe('gl: optimisers', () => {
  before(async () => { await startBackend() })

  it('takes the steps of torch.optim, and of Lion\'s paper', async () => {
    const { start, gradients, cases } = await readJson('optimizers.json') as Recorded
    for (const weightDecay of [0, 0.1]) {
      expect(cases.filter(one => one.weightDecay === weightDecay).map(({ kind }) => kind), `${weightDecay}`).to.include.members([...OPTIMIZERS])
    }
    const before = tf.memory().numTensors
    for (const { kind, shape, size, scale, weightDecay, rate, values } of cases) {
      const optimizer = new Optimizer(kind, weightDecay)
      const parameter = tf.tidy(() => tf.variable(tf.tensor(start.map(value => value * size), shape)))
      for (const [i, gradient] of gradients.entries()) {
        const scaled = gradient.map(value => value * scale)
        tf.tidy(() => optimizer.update(new Map([['w', parameter]]), new Map([['w', tf.tensor(scaled, shape)]]), rate))
        const expected = values[i].map((value, at) => value - start[at] * size)
        const moved = [...await parameter.data()].map((value, at) => value - start[at] * size)
        const name = `${kind} [${shape.join(', ')}], ${size}, ${scale}, ${weightDecay}, step ${i + 1}`
        expect(relativeError(await parameter.data(), values[i]), name).to.be.below(1e-6)
        expect(relativeError(moved, expected), `${name}, of the move`).to.be.below(1e-5)
      }
      optimizer.dispose()
      parameter.dispose()
    }
    expect(tf.memory().numTensors).to.equal(before)
  })

  it('moves each parameter as if it were the only one', async () => {
    for (const kind of OPTIMIZERS) {
      const [together, apart] = [start(), start()]
      const optimizer = new Optimizer(kind, 0.1)
      const own = new Map(SHAPES.map(([name]) => [name, new Optimizer(kind, 0.1)]))
      for (const number of [1, 2, 3]) {
        tf.tidy(() => {
          const gradients = new Map(SHAPES.map(([name, shape], i) => [name, tf.tensor(uniform(shape, seeded(10 * number + i)).values, shape)]))
          optimizer.update(together, gradients, 0.01)
          for (const [name, gradient] of gradients) own.get(name)!.update(apart, new Map([[name, gradient]]), 0.01)
        })
      }
      expect(await valuesOf(together)).to.deep.equal(await valuesOf(apart))
      for (const one of [optimizer, ...own.values()]) one.dispose()
      for (const parameters of [together, apart]) dispose(parameters)
    }
  })

  it('goes on from a saved state, bit for bit, wherever it was saved', async () => {
    const before = tf.memory().numTensors
    for (const kind of OPTIMIZERS) {
      const parameters = start()
      const optimizer = new Optimizer(kind, 0.1)
      const saved = []
      for (let number = 1; number <= 5; number++) {
        saved.push({ values: await valuesOf(parameters), state: encodeSafetensors(await optimizer.state()) })
        step(optimizer, parameters, number)
      }
      const end = await valuesOf(parameters)
      for (const [done, { values, state }] of saved.entries()) {
        const other = start(values)
        const restored = new Optimizer(kind, 0.1)
        const former = start()
        step(restored, former, 99) // what it did before is forgotten
        dispose(former)
        restored.restore(decodeSafetensors(state).tensors)
        for (let number = done + 1; number <= 5; number++) step(restored, other, number)
        expect(await valuesOf(other), `${kind} from step ${done}`).to.deep.equal(end)
        restored.dispose()
        dispose(other)
      }
      optimizer.dispose()
      dispose(parameters)
    }
    expect(tf.memory().numTensors).to.equal(before)
  })

  it('keeps of Adafactor\'s second moments what a row and a column has, and those of vectors as they are', async () => {
    const optimizer = new Optimizer('adafactor', 0)
    const parameters = start()
    step(optimizer, parameters, 1)
    const shapes = [...await optimizer.state()].map(([name, { shape }]) => [name, shape])
    expect(shapes).to.deep.equal([
      ['step', [1]],
      ['a.row_var', [2, 1]], ['a.col_var', [1, 3]],
      ['b.variance', [4]],
      ['c.row_var', [1, 1]], ['c.col_var', [1, 1]],
      ['d.row_var', [2, 3, 1]], ['d.col_var', [2, 1, 2]],
      ['e.variance', []]
    ])
    optimizer.dispose()
    dispose(parameters)
  })

  it('moves nothing where there is no gradient yet, nor decay', async () => {
    for (const kind of OPTIMIZERS) {
      const parameters = start()
      const optimizer = new Optimizer(kind, 0)
      const before = await valuesOf(parameters)
      tf.tidy(() => optimizer.update(parameters, new Map(SHAPES.map(([name, shape]) => [name, tf.zeros(shape)])), 0.1))
      expect(await valuesOf(parameters), kind).to.deep.equal(before)
      optimizer.dispose()
      dispose(parameters)
    }
  })

  it('gives its state as a copy, and takes it as one', async () => {
    const optimizer = new Optimizer('adamw', 0)
    const parameters = start()
    step(optimizer, parameters, 1)
    const state = await optimizer.state()
    optimizer.restore(state)
    for (const { values } of state.values()) values.fill(7)
    expect([...(await optimizer.state()).values()].flatMap(({ values }) => [...values])).to.not.include(7)
    optimizer.dispose()
    dispose(parameters)
  })

  it('owns no more tensors however many steps it takes', () => {
    for (const kind of OPTIMIZERS) {
      const parameters = start()
      const before = tf.memory().numTensors
      const optimizer = new Optimizer(kind, 0.1)
      step(optimizer, parameters, 1)
      const owned = tf.memory().numTensors
      for (let number = 2; number < 5; number++) step(optimizer, parameters, number)
      expect(tf.memory().numTensors).to.equal(owned)
      optimizer.dispose()
      expect(tf.memory().numTensors).to.equal(before)
      dispose(parameters)
    }
  })

  it('refuses a gradient of a parameter that is not there', () => {
    const optimizer = new Optimizer('sgd', 0)
    const parameters = start()
    const gradient = tf.zeros([2, 3])
    expect(() => optimizer.update(parameters, new Map([['x', gradient]]), 1)).to.throw().with.property('name', 'InvalidAdapterError')
    gradient.dispose()
    dispose(parameters)
  })

  it('refuses weight decays that are not possible', () => {
    for (const kind of OPTIMIZERS) {
      for (const decay of [-1, -1e-9, NaN, Infinity]) {
        expect(() => new Optimizer(kind, decay), `${decay}`).to.throw().with.property('name', 'InvalidOptionError')
      }
    }
  })
})
