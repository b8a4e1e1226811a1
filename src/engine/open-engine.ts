import { BackendError, EngineError, UnsupportedKernelError } from '../errors.js'
import type { NamedTensors } from '../types.js'
import { type BackendChoice, startBackend } from './backend.js'
import { EagerEngine } from './eager-engine.js'
import type { Engine, Weights } from './engine.js'
import { OnnxEngine } from './onnx/onnx-engine.js'
import type { StepRun } from './step.js'

export const DEVICES = ['auto', 'cpu', 'cuda', 'webgpu'] as const
type Device = typeof DEVICES[number]

export interface EngineOptions {
  /** A TensorFlow.js backend to run op by op on; with `auto` steps are compiled, where ONNX Runtime is installed. @default auto */
  readonly backend?: BackendChoice
  /** Where compiled steps run. @default auto: CUDA where there is one, else the CPU */
  readonly device?: Device
  /** Of compiled steps on the CPU. @default one a core */
  readonly threads?: number
  /** Whether those threads wait busily for the next product: faster on a machine that has nothing else to do. @default false */
  readonly spin?: boolean
  /** That passes may take beside the weights, in bytes; larger ones are done in parts. @default half of the machine's */
  readonly memory?: number
}

/**
 * Opens the engine that the options ask for, or the fastest there is.
 *
 * @param log is told when it is another one than was hoped for
 * @throws {BackendError} if a device or a backend is asked for that cannot be used here
 */
export async function openEngine (weights: Weights, { backend = 'auto', device = 'auto', ...init }: EngineOptions, log: (line: string) => void): Promise<Engine> {
  const { memory } = init
  if (backend !== 'auto') return await openEager(weights, backend, memory)
  try {
    const compiled = await OnnxEngine.open(weights, { ...init, device })
    return new Compiled(compiled, async () => await openEager(weights, 'auto', memory), log)
  } catch (error) {
    if (device !== 'auto' || !(error instanceof BackendError || error instanceof EngineError)) throw error
    log(`${error.message}; computing op by op, which is many times slower`)
    return await openEager(weights, 'auto', memory)
  }
}

async function openEager (weights: Weights, backend: BackendChoice, memory: number | undefined): Promise<Engine> {
  await startBackend(backend)
  return await EagerEngine.open(weights, memory)
}

/** Compiles what it can. What it cannot runs op by op, and that is said once. */
class Compiled implements Engine {
  readonly name: string
  readonly description: string
  readonly #compiled: Engine
  readonly #openEager: () => Promise<Engine>
  readonly #log: (line: string) => void
  #eager: Promise<Engine> | undefined
  /** Keys of steps that cannot be compiled. */
  readonly #unsupported = new Set<string>()

  constructor (compiled: Engine, openEager: () => Promise<Engine>, log: (line: string) => void) {
    this.name = compiled.name
    this.description = compiled.description
    this.#compiled = compiled
    this.#openEager = openEager
    this.#log = log
  }

  async run (run: StepRun): Promise<NamedTensors<Float32Array>> {
    try {
      if (!this.#unsupported.has(run.key)) return await this.#compiled.run(run)
    } catch (error) {
      if (!(error instanceof UnsupportedKernelError)) throw error
      if (this.#unsupported.size === 0) this.#log(`${error.message}; such steps run op by op, many times slower`)
      this.#unsupported.add(run.key)
    }
    this.#eager ??= this.#openEager()
    return await (await this.#eager).run(run)
  }

  async dispose (): Promise<void> {
    await this.#compiled.dispose()
    await (await this.#eager)?.dispose()
  }
}
