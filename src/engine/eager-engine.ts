import * as tf from '@tensorflow/tfjs'
import { UnsupportedKernelError } from '../errors.js'
import { readStored } from '../tensor/stored.js'
import type { FloatTensor, NamedTensors } from '../types.js'
import { type Backend, startBackend } from './backend.js'
import type { Engine, Weights } from './engine.js'
import { checkMemory, defaultMemory } from './memory-limit.js'
import { compile } from './onnx/compile.js'
import { namesWith } from './quantization.js'
import { specsOf, type Step, type StepRun, type TensorSpec, type TensorsByName } from './step.js'

/** All that WebAssembly can have, in bytes. */
const WASM_MEMORY = 2 ** 32

/** How often WebAssembly has each weight: as it is, and arranged for products. */
const WASM_WEIGHTS = 2

/** What a run takes, of what its tensors take (measured on GPT-2 small with WebAssembly: 0.96, and its memory breaks up). */
const SLACK = 1.25

/** Steps of which it is known what they take. */
const KNOWN_STEPS = 1000

/** A weight's place in a file that nobody reads. */
const NOWHERE = { location: '', offset: 0, length: 0 }

/** Runs steps op by op on a TensorFlow.js backend. */
export class EagerEngine implements Engine {
  readonly name: string
  readonly description: string
  readonly #weights: ReadonlyMap<string, tf.Tensor>
  /** What runs may take, in bytes. */
  readonly #memory: number
  /** What runs of steps take by their ids, in bytes. */
  readonly #taken = new Map<string, number>()

  private constructor (backend: Backend, { name, description }: Pick<Engine, 'name' | 'description'>, weights: ReadonlyMap<string, tf.Tensor>, memory: number) {
    this.name = name
    this.description = description
    this.#weights = weights
    const kept = [...weights.values()].reduce((sum, { size }) => sum + 4 * size, 0)
    this.#memory = backend.name === 'wasm' ? Math.min(memory, Math.max(0, WASM_MEMORY - WASM_WEIGHTS * kept)) : memory
  }

  /**
   * On the backend that runs in this process, or the best one.
   *
   * @param memory that runs may take beside the weights, in bytes
   */
  static async open (weights: Weights, memory = defaultMemory()): Promise<EagerEngine> {
    const backend = await startBackend()
    const tensors = new Map<string, tf.Tensor>()
    try {
      for (const [name, stored] of weights) {
        const { values, shape } = await readStored(name, stored)
        tensors.set(name, tf.tensor(values, [...shape]))
      }
      return new EagerEngine(backend, namesWith(weights, backend), tensors, memory)
    } catch (error) {
      tf.dispose([...tensors.values()])
      throw error
    }
  }

  /** @throws {MemoryLimitError} if it would take more than it may */
  async run (run: StepRun): Promise<NamedTensors<Float32Array>> {
    checkMemory(this.#takenBy(run), this.#memory)
    const { step, inputs } = run
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

  /** Nothing goes before a step ends, so that all of its tensors count. They are known by recording it; 0 where that is not possible. */
  #takenBy ({ step, key, inputs }: StepRun): number {
    const specs = specsOf(inputs)
    const id = JSON.stringify([key, [...specs]])
    const known = this.#taken.get(id)
    if (known !== undefined) return known
    const taken = SLACK * this.#sumOf(step, specs)
    if (this.#taken.size >= KNOWN_STEPS) this.#taken.clear()
    this.#taken.set(id, taken)
    return taken
  }

  #sumOf (step: Step, specs: ReadonlyMap<string, TensorSpec>): number {
    try {
      return compile(step, specs, new Map([...this.#weights].map(([name, { shape }]) => [name, { shape, ...NOWHERE }]))).sum
    } catch (error) {
      if (error instanceof UnsupportedKernelError) return 0
      throw error
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
