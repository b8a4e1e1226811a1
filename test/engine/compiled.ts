import * as tf from '@tensorflow/tfjs'
import { compile } from '../../src/engine/onnx/compile.js'
import { loadRuntime } from '../../src/engine/onnx/runtime.js'
import type { Step, TensorsByName, TensorSpec } from '../../src/engine/step.js'
import type { NamedTensors, TensorData } from '../../src/types.js'

const DTYPES = { int32: Int32Array, float32: Float32Array } as const

export function specsOf (inputs: NamedTensors): Map<string, TensorSpec> {
  return new Map([...inputs].map(([name, { shape, values }]) => [name, { shape, dtype: values instanceof Int32Array ? 'int32' : 'float32' }]))
}

/** What ONNX Runtime makes of the step. */
export async function runCompiled (step: Step, inputs: NamedTensors): Promise<NamedTensors> {
  return await runModel(compile(step, specsOf(inputs), new Map()).model, inputs)
}

export async function runModel (model: Uint8Array, inputs: NamedTensors): Promise<NamedTensors> {
  const { InferenceSession, Tensor } = loadRuntime()
  const session = await InferenceSession.create(model, { graphOptimizationLevel: 'disabled', intraOpNumThreads: 1, logSeverityLevel: 3 })
  try {
    const feeds = Object.fromEntries([...inputs].map(([name, { shape, values }]) =>
      [name, values instanceof Int32Array ? new Tensor('int32', values, shape) : new Tensor('float32', values, shape)]))
    const results = await session.run(feeds)
    return new Map(Object.entries(results).map(([name, { dims, data }]): [string, TensorData] => [name, { shape: dims, values: data as Float32Array }]))
  } finally {
    await session.release()
  }
}

/** What the CPU backend of TensorFlow.js makes of the step, and with which kernels. It is to be the backend in use. */
export async function runEagerly (step: Step, inputs: NamedTensors): Promise<{ results: NamedTensors, kernels: ReadonlySet<string> }> {
  const given = new Map([...inputs].map(([name, { shape, values }]) => [name, tf.tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32')]))
  const tensor = (name: string): tf.Tensor => given.get(name)!
  let outputs: Record<string, tf.Tensor> = {}
  const { kernelNames } = await tf.profile(() => { outputs = tf.tidy(() => step(tensor as TensorsByName)) })
  const results = await Promise.all(Object.entries(outputs).map(async ([name, result]): Promise<[string, TensorData]> =>
    [name, { shape: result.shape, values: DTYPES[result.dtype as keyof typeof DTYPES].from(await result.data()) }]))
  tf.dispose([...given.values(), outputs])
  return { results: new Map(results), kernels: new Set(kernelNames) }
}

/** Runs the tests of a suite on the CPU backend of TensorFlow.js, and gives the former one back afterwards. */
export function onCpuBackend (): void {
  let former: string | undefined
  before(async () => {
    former = tf.getBackend()
    await tf.setBackend('cpu')
  })
  after(async () => { await tf.setBackend(former ?? 'cpu') })
}
