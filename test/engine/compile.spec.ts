import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { compile, type ExternalWeight } from '../../src/engine/onnx/compile.js'
import type { Step, TensorSpec } from '../../src/engine/step.js'
import type { NamedTensors } from '../../src/types.js'
import { onCpuBackend, runCompiled, runEagerly, runModel } from './compiled.js'

const INPUTS: ReadonlyMap<string, TensorSpec> = new Map([['x', { shape: [2, 3], dtype: 'float32' }], ['i', { shape: [2], dtype: 'int32' }]])
const NO_WEIGHTS: ReadonlyMap<string, ExternalWeight> = new Map()
const VALUES: NamedTensors = new Map<string, { shape: number[], values: Float32Array | Int32Array }>([
  ['x', { shape: [2, 3], values: Float32Array.of(1, -2, 3, -4, 5, -6) }], ['i', { shape: [2], values: Int32Array.of(1, 0) }]
])

function modelOf (step: Step): Buffer {
  return Buffer.from(compile(step, INPUTS, NO_WEIGHTS).model)
}

function errorOf (step: Step): Error {
  try {
    modelOf(step)
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

/** A step of several kernels, with a gradient in it. */
const STEP: Step = tensor => {
  const f = (a: tf.Tensor): tf.Tensor => tf.sum(tf.mul(tf.softmax(a), tf.gather(tf.tensor2d([[1, 2, 3], [4, 5, 6]]), tensor('i'))))
  const { value, grad } = tf.valueAndGrad(f)(tensor('x'))
  return { value, grad }
}

async function expectAsEager (step: Step): Promise<void> {
  const { results } = await runEagerly(step, VALUES)
  const actual = await runCompiled(step, VALUES)
  expect([...actual.keys()]).to.have.members([...results.keys()])
  for (const [name, { shape, values }] of results) {
    expect(actual.get(name)!.shape, name).to.deep.equal(shape)
    expect([...actual.get(name)!.values], name).to.deep.equal([...values])
  }
}

describe('engine: compiling', () => {
  onCpuBackend()

  it('refuses a kernel that it does not know, and says which and who asked for it', () => {
    for (const [step, kernel, op] of [
      [tensor => ({ y: tf.atan(tensor('x')) }), 'Atan', 'atan'],
      [tensor => ({ y: tf.cumsum(tensor('x')) }), 'Cumsum', 'cumsum'],
      [tensor => ({ y: tf.grad((x: tf.Tensor) => tf.prod(x))(tensor('x')) }), 'Cumprod', 'cumprod']
    ] as ReadonlyArray<readonly [Step, string, string]>) {
      const { name, message } = errorOf(step)
      expect(name).to.equal('UnsupportedKernelError')
      expect(message).to.include(`kernel ${kernel}`).and.to.include(`tf.${op}`)
    }
  })

  it('refuses to tell numbers that are known only later, and says what made them', () => {
    for (const [step, producer] of [
      [tensor => ({ y: tf.scalar(tensor('x').dataSync()[0]) }), 'input x'],
      [tensor => ({ y: tf.scalar(tf.tanh(tensor('x')).dataSync()[0]) }), 'Tanh'],
      [tensor => ({ y: tf.scalar(tf.sum(tensor('x')).arraySync() as number) }), 'ReduceSum'],
      [tensor => ({ y: tf.scalar(tensor('w').dataSync()[0]) }), 'weight w']
    ] as ReadonlyArray<readonly [Step, string]>) {
      const weights = new Map([['w', { location: 'file', offset: 0, length: 4, shape: [1] }]])
      expect(() => compile(step, INPUTS, weights), producer).to.throw(producer).with.property('name', 'UnsupportedKernelError')
    }
  })

  it('tells the numbers of what depends on no input', async () => {
    await expectAsEager(tensor => {
      const [first, second] = tf.mul(tf.tensor1d([1, 2]), 3).dataSync()
      return { y: tf.mul(tensor('x'), first * second) }
    })
  })

  it('refuses tensors that were made before the step', () => {
    const before = tf.scalar(2)
    for (const step of [tensor => ({ y: tf.mul(tensor('x'), before) }), () => ({ y: before })] as Step[]) {
      expect(errorOf(step).name).to.equal('UnsupportedKernelError')
    }
    before.dispose()
  })

  it('refuses tensors of other types', () => {
    for (const step of [() => ({ y: tf.tensor1d(['a']) }), () => ({ y: tf.complex([1], [2]) })] as Step[]) {
      expect(errorOf(step).name).to.equal('UnsupportedKernelError')
    }
  })

  it('says which tensor a step asks for that is neither an input nor a weight', () => {
    expect(errorOf(tensor => ({ y: tensor('z') })).message).to.include(' z,')
  })

  it('leaves TensorFlow.js as it was, also where the step throws', () => {
    const before = tf.memory().numTensors
    const own = tf.scalar(1)
    const thrown = new Error('of the step')
    const steps: ReadonlyArray<readonly [Step, string | undefined]> = [
      [STEP, undefined],
      [tensor => ({ copy: tf.clone(tensor('x')), same: tensor('x'), kept: tf.keep(tf.neg(tensor('x'))) }), undefined],
      [tensor => ({ y: tf.atan(tf.exp(tensor('x'))) }), 'UnsupportedKernelError'],
      [tensor => ({ y: tf.mul(tf.exp(tensor('x')), own) }), 'UnsupportedKernelError'],
      [tensor => ({ y: tf.grad((x: tf.Tensor) => tf.sum(tf.atan(x)))(tensor('x')) }), 'UnsupportedKernelError'],
      [tensor => { tf.exp(tensor('x')); throw thrown }, 'Error']
    ]
    for (const [i, [step, error]] of steps.entries()) {
      if (error === undefined) modelOf(step)
      else expect(errorOf(step).name, `step ${i}`).to.equal(error)
      expect(tf.getBackend()).to.equal('cpu')
      expect(tf.memory().numTensors, `step ${i}`).to.equal(before + 1)
    }
    expect(errorOf(steps[5][0])).to.equal(thrown)
    expect([...own.dataSync()]).to.deep.equal([1])
    tf.dispose(own)
  })

  it('gives outputs that are inputs, constants, or one value twice', async () => {
    await expectAsEager(tensor => ({ same: tensor('x'), copy: tf.clone(tensor('x')), integers: tensor('i') }))
    await expectAsEager(() => ({ constant: tf.tensor2d([[1, 2]]), folded: tf.exp(tf.zeros([2])), integers: tf.tensor1d([3, 4], 'int32') }))
    await expectAsEager(tensor => {
      const y = tf.exp(tf.mul(tensor('x'), 0)) // 1 to the bit
      return { first: y, second: y, third: tf.clone(y), next: tf.neg(y) }
    })
    await expectAsEager(() => {
      const constant = tf.scalar(2)
      return { first: constant, second: constant }
    })
  })

  it('gives outputs that are called as a node or a constant might be', async () => {
    await expectAsEager(tensor => ({ Neg_0: tf.abs(tf.neg(tensor('x'))), Abs_1: tf.relu(tensor('x')), constant_0: tf.mul(tensor('x'), 2) }))
  })

  it('refuses outputs that are called as an input is', () => {
    for (const step of [tensor => ({ x: tf.neg(tensor('x')) }), tensor => ({ x: tensor('x') }), tensor => ({ i: tf.neg(tensor('x')) })] as Step[]) {
      expect(errorOf(step).message).to.include('output')
    }
  })

  it('takes inputs that no node needs', async () => {
    await expectAsEager(tensor => ({ y: tf.neg(tensor('x')) }))
    expect(compile(STEP, INPUTS, NO_WEIGHTS).inputs).to.deep.equal([
      { name: 'x', shape: [2, 3], element: 'float32' }, { name: 'i', shape: [2], element: 'int32' }
    ])
  })

  it('says what it gives', () => {
    const { outputs } = compile(tensor => ({ y: tf.sum(tensor('x'), 1), integers: tf.expandDims(tensor('i')), z: tf.greater(tensor('x'), 0) }), INPUTS, NO_WEIGHTS)
    expect(outputs).to.deep.equal([{ name: 'y', shape: [2], element: 'float32' }, { name: 'integers', shape: [1, 2], element: 'int32' }, { name: 'z', shape: [2, 3], element: 'bool' }])
  })

  it('leaves out what no output needs', () => {
    const model = modelOf(tensor => {
      const unused = tf.sin(tf.matMul(tensor('x'), tf.fill([3, 1000], 0.123)))
      tf.cos(unused)
      return { y: tf.tanh(tensor('x')) }
    })
    for (const op of ['Sin', 'Cos', 'MatMul']) expect(model.includes(op), op).to.be.false
    expect(model.includes('Tanh')).to.be.true
    expect(model.byteLength).to.be.below(1000)
  })

  it('leaves out a part of the gradient that nobody asks for', () => {
    const both = modelOf(tensor => {
      const [grad, other] = tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(tf.sin(a), tf.exp(b))))([tensor('x'), tf.clone(tensor('x'))])
      return { grad, other }
    })
    const one = modelOf(tensor => {
      const [grad] = tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.mul(tf.sin(a), tf.exp(b))))([tensor('x'), tf.clone(tensor('x'))])
      return { grad }
    })
    expect(one.byteLength).to.be.below(both.byteLength)
    expect(both.includes('Sin')).to.be.true
    expect(one.includes('Sin')).to.be.false // cos(a)·exp(b) needs no sine
  })

  it('gives the same bytes each time', () => {
    expect(modelOf(STEP).equals(modelOf(STEP))).to.be.true
    expect(modelOf(STEP).equals(modelOf(tensor => ({ y: tf.neg(tensor('x')) })))).to.be.false
  })

  it('records for the shapes that it is told', async () => {
    const step: Step = tensor => ({ y: tf.sum(tensor('x'), -1), z: tf.reshape(tensor('x'), [-1]) })
    for (const shape of [[1], [4, 1], [2, 3, 4]]) {
      const values = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => i)
      const { model } = compile(step, new Map([['x', { shape, dtype: 'float32' }]]), NO_WEIGHTS)
      const results = await runModel(model, new Map([['x', { shape, values }]]))
      expect(results.get('y')!.shape).to.deep.equal(shape.slice(0, -1))
      expect([...results.get('z')!.values]).to.deep.equal([...values])
    }
  })

  it('gives a tensor that was asked for inside a tidy also after it', async () => {
    await expectAsEager(tensor => {
      const sum = tf.tidy(() => tf.sum(tensor('x')))
      return { y: tf.mul(tensor('x'), sum) }
    })
  })

  it('knows a weight by where it lies', () => {
    const weights = new Map([['w', { location: 'folder/weights.safetensors', offset: 1234, length: 12, shape: [3] }], ['unused', { location: 'other', offset: 0, length: 4, shape: [1] }]])
    const model = Buffer.from(compile(tensor => ({ y: tf.mul(tf.add(tensor('x'), tensor('w')), tensor('w')) }), INPUTS, weights).model)
    for (const text of ['folder/weights.safetensors', '1234']) expect(model.includes(text), text).to.be.true
    expect(model.toString('latin1').split('folder/weights.safetensors')).to.have.lengthOf(2) // once
    expect(model.includes('unused')).to.be.false
  })
})
