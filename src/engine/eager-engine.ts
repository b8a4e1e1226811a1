import * as tf from '@tensorflow/tfjs'
import { readStored } from '../tensor/stored.js'
import type { FloatTensor, NamedTensors } from '../types.js'
import { type Backend, startBackend } from './backend.js'
import type { Engine, Weights } from './engine.js'
import type { StepRun, TensorsByName } from './step.js'

/** Runs steps op by op on a TensorFlow.js backend. */
export class EagerEngine implements Engine {
  readonly name: string
  readonly description: string
  readonly #weights: ReadonlyMap<string, tf.Tensor>

  private constructor ({ name, description }: Backend, weights: ReadonlyMap<string, tf.Tensor>) {
    this.name = name
    this.description = description
    this.#weights = weights
  }

  /** On the backend that runs in this process, or the best one. */
  static async open (weights: Weights): Promise<EagerEngine> {
    const backend = await startBackend()
    const tensors = new Map<string, tf.Tensor>()
    try {
      for (const [name, stored] of weights) {
        const { values, shape } = await readStored(name, stored)
        tensors.set(name, tf.tensor(values, [...shape]))
      }
      return new EagerEngine(backend, tensors)
    } catch (error) {
      tf.dispose([...tensors.values()])
      throw error
    }
  }

  async run ({ step, inputs }: StepRun): Promise<NamedTensors<Float32Array>> {
    const given = new Map([...inputs].map(([name, { shape, values }]) =>
      [name, tf.tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32')]))
    const tensor = (name: string): tf.Tensor => {
      const found = given.get(name) ?? this.#weights.get(name)
      if (found === undefined) throw new Error(`the step asks for ${name}, which is neither an input nor a weight`)
      return found
    }
    let outputs: Record<string, tf.Tensor> = {}
    try {
      outputs = tf.tidy(() => step(tensor as TensorsByName))
      return new Map(await Promise.all(Object.entries(outputs).map(async ([name, result]) => [name, await atRest(result)] as const)))
    } finally {
      tf.dispose([...given.values(), outputs])
    }
  }

  async dispose (): Promise<void> {
    tf.dispose([...this.#weights.values()])
    await Promise.resolve()
  }
}

async function atRest (tensor: tf.Tensor): Promise<FloatTensor> {
  return { shape: tensor.shape, values: await tensor.data<'float32'>() }
}
