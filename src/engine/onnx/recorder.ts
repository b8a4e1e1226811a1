import * as tf from '@tensorflow/tfjs'
import { UnsupportedKernelError } from '../../errors.js'
import type { Data, Dtype, Graph, Value } from './graph.js'

/** The name under which the recording backend is known to TensorFlow.js. */
const RECORDER = 'colanet-recorder'

/** What a kernel gets: its inputs in TensorFlow.js's names, or in their order where it takes a list. */
export interface KernelCall<A = tf.NamedAttrMap> {
  readonly graph: Graph
  readonly inputs: Readonly<Record<string, Value>>
  readonly attrs: A
}

/** Records a kernel as nodes of the graph. */
export type RecordKernel = (call: KernelCall<never>) => Value | Value[]

/** Constants with no more elements are computed while recording. */
const FOLDED_SIZE = 1 << 16

/**
 * A TensorFlow.js backend that computes nothing: its tensors are values of an ONNX graph, and its kernels add nodes to
 * it. TensorFlow.js makes gradients out of ordinary kernels, so that they are recorded too.
 */
class Recorder extends tf.KernelBackend {
  /** What is recorded into; none outside a recording. */
  graph: Graph | undefined
  #values = new WeakMap<object, Value>()
  #ids = 0

  override write (values: tf.backend_util.BackendValues | null, shape: number[], dtype: tf.DataType): object {
    return this.add(this.recording.constant(dataOf(values, shape, dtype), { shape, dtype: checkDtype(dtype) }))
  }

  override move (id: object, values: tf.backend_util.BackendValues, shape: number[], dtype: tf.DataType): void {
    this.#values.set(id, this.recording.constant(dataOf(values, shape, dtype), { shape, dtype: checkDtype(dtype) }))
  }

  override readSync (id: object): Data {
    const { data, producer, shape } = this.value(id)
    if (data === undefined) {
      throw new UnsupportedKernelError(`the numbers of a tensor [${shape.join(', ')}] made by ${producer} were asked for while the step was recorded; they are known only when it runs`)
    }
    return data
  }

  override async read (id: object): Promise<Data> {
    return await Promise.resolve(this.readSync(id))
  }

  /** A tensor of its own for a value; several may stand for one value. */
  add (value: Value): object {
    const id = { id: this.#ids++ }
    this.#values.set(id, value)
    return id
  }

  value (id: object): Value {
    const value = this.#values.get(id)
    if (value === undefined) throw new UnsupportedKernelError('a tensor of another backend was used in a step that is recorded; make it an input')
    return value
  }

  get recording (): Graph {
    if (this.graph === undefined) throw new Error('nothing is recorded now')
    return this.graph
  }

  override incRef (): void { /* the graph keeps its values */ }
  override disposeData (): boolean { return true }
  override refCount (): number { return 1 }
  override numDataIds (): number { return this.#ids }
  override memory (): { unreliable: boolean } { return { unreliable: true } }
  override floatPrecision (): 16 | 32 { return 32 }
  override epsilon (): number { return 1e-7 }
  override timerAvailable (): boolean { return false }
  override dispose (): void { this.#values = new WeakMap() }
}

const recorder = new Recorder()

/** Makes the backend known, with the kernels that it can record. Once is enough. */
export function registerRecorder (kernels: Readonly<Record<string, RecordKernel>>): void {
  tf.registerBackend(RECORDER, () => recorder, 0)
  for (const [kernelName, record] of Object.entries(kernels)) {
    tf.registerKernel({ kernelName, backendName: RECORDER, kernelFunc: call => recordKernel(kernelName, record, call) })
  }
}

/** Runs a function whose tensors are values of the graph. It must not wait for anything: the backend is everyone's. */
export function recordInto<T> (graph: Graph, record: (tensorOf: (value: Value) => tf.Tensor) => T): T {
  const former = (tf.getBackend() as string | undefined) ?? 'cpu' // none is chosen yet
  recorder.graph = graph
  use(RECORDER)
  try {
    return record(value => tf.engine().makeTensorFromTensorInfo({ dataId: recorder.add(value), shape: [...value.shape], dtype: value.dtype }, recorder))
  } catch (error) {
    throw asUnsupported(error)
  } finally {
    recorder.graph = undefined
    use(former)
  }
}

/** At once: the promise of a backend that has nothing to wait for says nothing. */
function use (backend: string): void {
  tf.setBackend(backend).catch(() => undefined)
}

/** The value for which a tensor of a recording stands. */
export function valueOf (tensor: tf.Tensor): Value {
  return recorder.value(tensor.dataId)
}

function recordKernel (name: string, record: RecordKernel, { inputs, attrs }: Parameters<tf.KernelConfig['kernelFunc']>[0]): tf.TensorInfo | tf.TensorInfo[] {
  const graph = recorder.recording
  const given = Object.entries(inputs as Record<string, tf.TensorInfo | undefined>) // an input that may be left out is there as undefined
  const values = Object.fromEntries(given.flatMap(([key, info]) => info === undefined ? [] : [[key, recorder.value(info.dataId)]]))
  const results = fold(name, values, { list: Array.isArray(inputs), attrs }, graph) ?? record({ graph, inputs: values, attrs: attrs as never })
  const infos = [results].flat().map(value => ({ dataId: recorder.add(value), shape: [...value.shape], dtype: value.dtype }))
  return Array.isArray(results) ? infos : infos[0]
}

/** The kernel's results where all that it takes is known, and small; computed by the CPU backend. */
function fold (name: string, inputs: Readonly<Record<string, Value>>, { list, attrs }: { list: boolean, attrs: tf.NamedAttrMap | undefined }, graph: Graph): Value | Value[] | undefined {
  const values = Object.entries(inputs)
  const kernel = tf.getKernel(name, 'cpu') as tf.KernelConfig | undefined
  if (kernel === undefined || !values.every(([, { data }]) => data !== undefined && data.length <= FOLDED_SIZE)) return undefined
  const backend = tf.findBackend('cpu') as unknown as tf.MathBackendCPU
  const onCpu = Object.fromEntries(values.map(([key, { shape, dtype, data }]) => [key, backend.makeTensorInfo([...shape], dtype, data)]))
  const results = kernel.kernelFunc({ inputs: (list ? Object.values(onCpu) : onCpu) as tf.NamedTensorInfoMap, attrs: attrs ?? {}, backend })
  const constants = [results].flat().map(({ dataId, shape, dtype }) =>
    graph.constant(dataOf(backend.data.get(dataId).values ?? null, shape, dtype), { shape, dtype: checkDtype(dtype) }))
  return Array.isArray(results) ? constants : constants[0]
}

function dataOf (values: tf.backend_util.BackendValues | null, shape: readonly number[], dtype: tf.DataType): Data {
  const size = tf.util.sizeFromShape([...shape])
  switch (checkDtype(dtype)) {
    case 'float32': return values === null ? new Float32Array(size) : Float32Array.from(values as ArrayLike<number>)
    case 'int32': return values === null ? new Int32Array(size) : Int32Array.from(values as ArrayLike<number>)
    case 'bool': return values === null ? new Uint8Array(size) : Uint8Array.from(values as ArrayLike<number>)
  }
}

function checkDtype (dtype: tf.DataType): Dtype {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype
  throw new UnsupportedKernelError(`tensors of ${dtype} cannot be recorded; use float32, int32 or bool`)
}

/** TensorFlow.js only says that there is no such kernel; who asked for it is in the stack. */
function asUnsupported (error: unknown): unknown {
  const kernel = /^Kernel '(\w+)' not registered/.exec((error as Error).message)?.[1]
  if (kernel === undefined) return error
  const op = /(\w+)__op\b/.exec((error as Error).stack ?? '')?.[1]
  return new UnsupportedKernelError(`kernel ${kernel}${op === undefined ? '' : `, which tf.${op} asked for,`} cannot be compiled yet`, { cause: error })
}
