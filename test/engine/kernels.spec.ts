import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { compile } from '../../src/engine/onnx/compile.js'
import { KERNELS } from '../../src/engine/onnx/kernels/index.js'
import type { Step, TensorsByName } from '../../src/engine/step.js'
import type { NamedTensors, TensorData } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { onCpuBackend, runCompiled, runEagerly, specsOf } from './compiled.js'
import { KERNEL_CASES, type KernelCase } from './kernel-cases.js'

function named (inputs: readonly TensorData[]): NamedTensors {
  return new Map(inputs.map((input, i) => [`in.${i}`, input]))
}

function tensorsOf (inputs: readonly TensorData[], tensor: TensorsByName): tf.Tensor[] {
  return inputs.map((_, i) => tensor(`in.${i}`))
}

function forward ({ inputs, f }: Pick<KernelCase, 'inputs' | 'f'>): Step {
  return tensor => Object.fromEntries([f(...tensorsOf(inputs, tensor))].flat().map((result, i) => [`out.${i}`, result]))
}

/** The same of constants, which the step makes itself. */
function ofConstants ({ inputs, f }: KernelCase): Step {
  const constants = (): tf.Tensor[] => inputs.map(({ shape, values }) => tf.tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32'))
  return () => Object.fromEntries([f(...constants())].flat().map((result, i) => [`out.${i}`, result]))
}

/** The gradient by every input that is a float, where that by its result is `dy`. */
function backward ({ inputs, f }: KernelCase): Step {
  return tensor => {
    const all = tensorsOf(inputs, tensor)
    const gradients = tf.grads((...floats: tf.Tensor[]) => {
      const left = [...floats]
      return f(...all.map(value => value.dtype === 'float32' ? left.shift()! : value)) as tf.Tensor
    })(all.filter(({ dtype }) => dtype === 'float32'), tensor('dy'))
    return Object.fromEntries(gradients.map((gradient, i) => [`grad.${i}`, gradient]))
  }
}

function expectSame (actual: NamedTensors, expected: NamedTensors, exact: boolean): void {
  expect([...actual.keys()]).to.deep.equal([...expected.keys()])
  for (const [name, { shape, values }] of expected) {
    const own = actual.get(name)!
    expect(own.shape, name).to.deep.equal(shape)
    expect(own.values.constructor, name).to.equal(values.constructor)
    if (exact || values instanceof Int32Array) expect([...own.values], name).to.deep.equal([...values])
    else expect(relativeError(own.values, values), name).to.be.below(1e-6)
  }
}

async function expectSameForward (kernel: string, own: KernelCase): Promise<void> {
  const { inputs, f, reference = f, exact = false } = own
  const { results, kernels } = await runEagerly(forward({ inputs, f: reference }), named(inputs))
  if (reference === f) expect(kernels).to.include(kernel)
  expectSame(await runCompiled(forward(own), named(inputs)), results, exact)
}

async function expectSameOfConstants (_: string, own: KernelCase): Promise<void> {
  const { inputs, f, reference = f } = own
  const { results } = await runEagerly(forward({ inputs, f: reference }), named(inputs))
  expectSame(await runCompiled(ofConstants(own), new Map()), results, reference === f) // folded by the very kernels of the CPU backend
}

async function expectSameBackward (_: string, own: KernelCase): Promise<void> {
  const { shape } = (await runEagerly(forward(own), named(own.inputs))).results.get('out.0')!
  const random = seeded(1)
  const dy = Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random() + 0.5)
  const given = new Map([...named(own.inputs), ['dy', { shape, values: dy }]])
  const { results } = await runEagerly(backward(own), given)
  expect(results).to.not.be.empty
  expectSame(await runCompiled(backward(own), given), results, false)
}

function each (title: string, kernel: string, cases: readonly KernelCase[], expectCase: (kernel: string, own: KernelCase) => Promise<void>): void {
  if (cases.length === 0) return
  it(`${title}, ${cases.length} cases`, async () => {
    const before = tf.memory().numTensors
    for (const own of cases) {
      try {
        await expectCase(kernel, own)
      } catch (cause) {
        throw new Error(`${own.what}: ${(cause as Error).message}`, { cause })
      }
      expect(tf.memory().numTensors, own.what).to.equal(before)
    }
  })
}

describe('engine: kernels', () => {
  onCpuBackend()

  it('have each at least one case', () => {
    expect(Object.keys(KERNEL_CASES)).to.have.members(Object.keys(KERNELS))
    for (const [kernel, cases] of Object.entries(KERNEL_CASES)) expect(cases, kernel).to.not.be.empty
  })

  for (const [kernel, cases] of Object.entries(KERNEL_CASES)) {
    describe(kernel, () => {
      each('gives what it gives eagerly', kernel, cases, expectSameForward)
      each('gives it of constants', kernel, cases.filter(({ foldable = true }) => foldable), expectSameOfConstants)
      each('has the gradient that it has eagerly', kernel, cases.filter(({ gradient = false }) => gradient), expectSameBackward)
    })
  }
})

describe('engine: constants', () => {
  onCpuBackend()

  const x: NamedTensors = new Map([['x', { shape: [2, 3], values: Float32Array.of(1, -2, 3, -4, 5, -6) }]])

  it('are computed while recording, also through many kernels', async () => {
    const step: Step = tensor => {
      const table = tf.sin(tf.tensor2d(Float32Array.from({ length: 12 }, (_, i) => i), [3, 4])) // [3, 4]
      const [left, right] = tf.split(table, 2, 1) // [3, 2]
      const square = tf.softmax(tf.matMul(left, right, false, true)) // [3, 3]
      return { y: tf.matMul(tensor('x'), square), table: tf.gather(table, tf.tensor1d([2, 0], 'int32')) }
    }
    expectSame(await runCompiled(step, x), (await runEagerly(step, x)).results, false)
    const model = Buffer.from(compile(step, specsOf(x), new Map()).model)
    for (const op of ['Sin', 'Split', 'Softmax', 'Gather']) expect(model.includes(op), op).to.be.false
    expect(model.includes('MatMul')).to.be.true
  })

  it('that are large are computed when it runs', async () => {
    const step: Step = tensor => ({ y: tf.mul(tf.exp(tf.mul(tf.ones([300, 300]), -0.5)), tf.sum(tensor('x'))) })
    expectSame(await runCompiled(step, x), (await runEagerly(step, x)).results, false)
    expect(Buffer.from(compile(step, specsOf(x), new Map()).model).includes('Exp')).to.be.true
  })

  it('may be in gradients', async () => {
    const step: Step = tensor => {
      const grad = tf.grad((a: tf.Tensor) => tf.sum(tf.mul(tf.pow(a, tf.scalar(2)), tf.cos(tf.ones([3])))))
      return { grad: grad(tensor('x')) }
    }
    expectSame(await runCompiled(step, x), (await runEagerly(step, x)).results, false)
  })
})
