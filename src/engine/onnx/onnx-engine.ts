import { BackendError, EngineError } from '../../errors.js'
import type { FloatTensor, NamedTensors, TensorData } from '../../types.js'
import type { Engine, Weights } from '../engine.js'
import { checkMemory, defaultMemory } from '../memory-limit.js'
import { namesWith } from '../quantization.js'
import { specsOf, type StepRun } from '../step.js'
import { compile } from './compile.js'
import { type ExternalWeights, externalWeights } from './external-weights.js'
import { encodeModel } from './format.js'
import { Graph, type Half } from './graph.js'
import { hasCudaProvider, loadRuntime, type Runtime, type Session } from './runtime.js'

type Device = 'cpu' | 'cuda' | 'webgpu'

export interface OnnxEngineInit {
  readonly device: Device | 'auto'
  /** Threads of a product on the CPU. @default one a core */
  readonly threads?: number
  /** Whether threads wait busily for the next product. @default false */
  readonly spin?: boolean
  /** That sessions may take beside the weights, in bytes; each keeps what a run of it takes. @default half of the machine's */
  readonly memory?: number
  /** Sessions that are kept. @default 8 */
  readonly sessions?: number
}

/** Shapes differ little from batch to batch. */
const SESSIONS = 8

/** What a session takes, of what its tensors take: ONNX Runtime's memory grows in steps (measured on GPT-2 small: 1.43 to 1.67). */
const SLACK = 1.5

interface Kept {
  readonly session: Session
  /** In bytes. */
  readonly footprint: number
}

/** Runs steps that were compiled to ONNX models, one session for each shape of their inputs. */
export class OnnxEngine implements Engine {
  readonly name: string
  readonly description: string
  readonly #runtime: Runtime
  readonly #weights: ExternalWeights
  readonly #init: OnnxEngineInit & { readonly device: Device }
  /** In the order of use. */
  readonly #sessions = new Map<string, Kept>()
  /** Steps that are too large, by their ids: in bytes. */
  readonly #tooLarge = new Map<string, number>()

  private constructor (runtime: Runtime, weights: ExternalWeights, { name, description }: Pick<Engine, 'name' | 'description'>, init: OnnxEngineInit & { readonly device: Device }) {
    this.#runtime = runtime
    this.#weights = weights
    this.#init = init
    this.name = name
    this.description = description
  }

  /**
   * @throws {BackendError} if ONNX Runtime is not installed, or the device cannot be used, or not with the weights' dtype
   * @throws {EngineError} if weights have to be copied and cannot be
   */
  static async open (weights: Weights, init: OnnxEngineInit): Promise<OnnxEngine> {
    const runtime = installedRuntime()
    const device = await deviceOf(runtime, init.device)
    const external = await externalWeights(weights)
    if (device !== 'cpu') {
      for (const kept of new Set([...external.weights.values()].map(({ kept }) => kept))) await checkProducts(runtime, device, kept)
    }
    const names = namesWith(weights, {
      name: `onnxruntime-${device}`,
      description: `ONNX Runtime (${device}${init.threads === undefined ? '' : `, ${init.threads} threads`})`
    })
    return new OnnxEngine(runtime, external, names, { ...init, device })
  }

  async run (run: StepRun): Promise<NamedTensors<Float32Array>> {
    const session = await this.#session(run)
    const { Tensor } = this.#runtime
    const feeds = Object.fromEntries(session.inputNames.map(name => {
      const { values, shape } = inputNamed(run.inputs, name)
      return [name, values instanceof Int32Array ? new Tensor('int32', values, shape) : new Tensor('float32', values, shape)]
    }))
    try {
      const results = await session.run(feeds)
      return new Map(Object.entries(results).map(([name, { dims, data }]): [string, FloatTensor] => [name, { shape: dims, values: data as Float32Array }]))
    } catch (cause) {
      throw new EngineError(`ONNX Runtime: ${(cause as Error).message}`, { cause })
    }
  }

  async dispose (): Promise<void> {
    for (const { session } of this.#sessions.values()) await session.release()
    this.#sessions.clear()
  }

  async #session ({ step, key, inputs }: StepRun): Promise<Session> {
    const specs = specsOf(inputs)
    const id = JSON.stringify([key, [...specs]])
    const known = this.#sessions.get(id)
    if (known !== undefined) {
      this.#sessions.delete(id)
      this.#sessions.set(id, known)
      return known.session
    }
    checkMemory(this.#tooLarge.get(id) ?? 0, this.#memory)
    const { model, footprint: least } = compile(step, specs, this.#weights.weights, { narrowProducts: this.#init.device !== 'cpu' })
    const footprint = least * SLACK
    if (footprint > this.#memory) this.#tooLarge.set(id, footprint)
    checkMemory(footprint, this.#memory)
    await this.#makeRoom(footprint)
    const session = await this.#create(model)
    this.#sessions.set(id, { session, footprint })
    return session
  }

  get #memory (): number { return this.#init.memory ?? defaultMemory() }

  /** Those that were not used for longest go first. */
  async #makeRoom (footprint: number): Promise<void> {
    for (const [oldest, { session }] of this.#sessions) {
      const taken = [...this.#sessions.values()].reduce((sum, kept) => sum + kept.footprint, footprint)
      if (taken <= this.#memory && this.#sessions.size < (this.#init.sessions ?? SESSIONS)) return
      this.#sessions.delete(oldest)
      await session.release()
    }
  }

  async #create (model: Uint8Array): Promise<Session> {
    const { device, threads, spin = false } = this.#init
    try {
      return await this.#runtime.InferenceSession.create(model, {
        executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
        graphOptimizationLevel: 'disabled',
        enableMemPattern: false, // it would set aside the memory of a whole run beside what runs use
        ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
        logSeverityLevel: 3,
        extra: {
          session: {
            model_external_initializers_file_folder_path: this.#weights.folder,
            disable_prepacking: '1', // it would copy the weights, which are mapped
            intra_op: { allow_spinning: spin ? '1' : '0' }
          }
        }
      })
    } catch (cause) {
      throw new EngineError(`ONNX Runtime: ${(cause as Error).message}`, { cause })
    }
  }
}

function installedRuntime (): Runtime {
  try {
    return loadRuntime()
  } catch (cause) {
    throw new BackendError('onnxruntime-node is not installed, or has no binary for this machine; install it with: npm install onnxruntime-node', { cause })
  }
}

/** The wanted device; with auto CUDA if it works here, else the CPU. */
async function deviceOf (runtime: Runtime, wanted: Device | 'auto'): Promise<Device> {
  const found = runtime.listSupportedBackends()
  if (wanted === 'auto') {
    return hasCudaProvider() && await whyNot(runtime, 'cuda') === undefined ? 'cuda' : 'cpu'
  }
  if (!found.some(({ name }) => name === wanted)) throw new BackendError(`ONNX Runtime has no ${wanted} here; it has ${found.map(({ name }) => name).join(', ')}`)
  const reason = await whyNot(runtime, wanted)
  if (reason !== undefined) throw new BackendError(`${wanted} cannot be used here: ${reason}; use --device cpu`)
  return wanted
}

/** @throws {BackendError} if a device computes no products of what is kept so */
async function checkProducts (runtime: Runtime, device: Device, kept: Half | undefined): Promise<void> {
  if (await whyNot(runtime, device, kept) !== undefined) throw new BackendError(`${device} computes no products in ${kept ?? 'float32'} here; use another --dtype, or --device cpu`)
}

/** Why a product cannot be run on a device: undefined if it can. */
async function whyNot (runtime: Runtime, device: Device, kept?: Half): Promise<string | undefined> {
  const graph = new Graph()
  const x = graph.input('x', { shape: [1, 1], dtype: 'float32' })
  const model = encodeModel(graph.finish({ y: graph.emit('MatMul', [x, x], x, { kept }) }))
  try {
    const session = await runtime.InferenceSession.create(model, { executionProviders: [device], logSeverityLevel: 4 })
    try {
      await session.run({ x: new runtime.Tensor('float32', Float32Array.of(1), [1, 1]) }, { logSeverityLevel: 4 })
    } finally {
      await session.release()
    }
    return undefined
  } catch (error) {
    const [first] = (error as Error).message.split('\n', 1)
    return first.replace(/^.* was false\. /, '') // where in its sources
  }
}

function inputNamed (inputs: NamedTensors, name: string): TensorData {
  const input = inputs.get(name)
  if (input === undefined) throw new EngineError(`the step was compiled with an input ${name}, which is missing`)
  return input
}
