import * as tf from '@tensorflow/tfjs'
import type { Step, TensorSpec } from '../step.js'
import { encodeModel, type External, type Port } from './format.js'
import { Graph, type Half, type QuantizedExternal, type Value } from './graph.js'
import { KERNELS } from './kernels/index.js'
import { recordInto, registerRecorder, valueOf } from './recorder.js'

registerRecorder(KERNELS)
tf.enableProdMode() // folding constants uses the CPU backend, which would advise on standard error to use another one

/** A weight in a file, row-major. */
export interface ExternalWeight extends External {
  readonly shape: readonly number[]
  /** Where it is not float32. */
  readonly kept?: Half
  /** Where it is codes. */
  readonly quantized?: QuantizedExternal
}

/** A step as an ONNX model: static shapes, one session run for the whole of it. */
export interface CompiledStep {
  readonly model: Uint8Array
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  /** What a run takes beside inputs and weights, in bytes. */
  readonly footprint: number
  /** What it would take if nothing were let go before the end, in bytes. */
  readonly sum: number
}

export interface CompileOptions {
  /** Whether products with weights that are kept in 16 bits are computed in so many. @default false: in float32 */
  readonly narrowProducts?: boolean
}

/**
 * Runs a step once with tensors that have no numbers, and keeps what it would have computed: its gradients too, as
 * TensorFlow.js makes them out of ordinary kernels.
 *
 * @throws {UnsupportedKernelError} naming the kernel, and the op that asked for it, if it cannot be recorded
 */
export function compile (step: Step, inputs: ReadonlyMap<string, TensorSpec>, weights: ReadonlyMap<string, ExternalWeight>, { narrowProducts = false }: CompileOptions = {}): CompiledStep {
  const graph = new Graph(narrowProducts)
  const values = new Map<string, Value>([...inputs].map(([name, spec]) => [name, graph.input(name, spec)]))
  const outputs = recordInto(graph, tensorOf => {
    const given = new Map<string, tf.Tensor>()
    const tensor = (name: string): tf.Tensor => {
      const known = given.get(name)
      if (known !== undefined) return known
      const made = tf.keep(tensorOf(values.get(name) ?? weightNamed(graph, name, weights))) // it may be asked for in a tidy, and after it
      given.set(name, made)
      return made
    }
    try {
      const results = tf.tidy(() => step(tensor as <T extends tf.Tensor>(name: string) => T))
      try {
        return Object.fromEntries(Object.entries(results).map(([name, result]) => [name, valueOf(result)]))
      } finally {
        tf.dispose(results)
      }
    } finally {
      tf.dispose([...given.values()])
    }
  })
  const model = graph.finish(outputs)
  return { model: encodeModel(model), inputs: model.inputs, outputs: model.outputs, footprint: model.footprint, sum: model.sum }
}

function weightNamed (graph: Graph, name: string, weights: ReadonlyMap<string, ExternalWeight>): Value {
  const weight = weights.get(name)
  if (weight === undefined) throw new Error(`the step asks for ${name}, which is neither an input nor a weight`)
  return graph.external(name, weight.shape, weight, weight)
}
