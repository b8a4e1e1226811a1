import * as tf from '@tensorflow/tfjs'
import { BackendError } from '../errors.js'
import { speedUpWasmMatMul } from './wasm-matmul.js'

/** In the order of preference. */
export const BACKENDS = ['node-gpu', 'node', 'wasm', 'cpu'] as const
export type BackendName = typeof BACKENDS[number]
export type BackendChoice = BackendName | 'auto'

export interface Backend {
  readonly name: BackendName
  /** For people: what computes, and how. */
  readonly description: string
}

interface Candidate {
  /** Loads the backend's package, which registers it with TensorFlow.js. */
  readonly load: () => Promise<unknown>
  /** The name under which it registers. */
  readonly registered: string
  readonly description: () => string
  readonly ready?: () => void
}

// Through a variable, so that neither compiler nor bundler asks for packages that may not be installed.
const optional = async (name: string): Promise<unknown> => await import(name)

const CANDIDATES: Record<BackendName, Candidate> = {
  'node-gpu': {
    load: async () => await optional('@tensorflow/tfjs-node-gpu'),
    registered: 'tensorflow',
    description: () => 'TensorFlow on CUDA (tfjs-node-gpu)'
  },
  node: {
    load: async () => await optional('@tensorflow/tfjs-node'),
    registered: 'tensorflow',
    description: () => 'TensorFlow on the CPU (tfjs-node)'
  },
  wasm: {
    load: async () => await import('@tensorflow/tfjs-backend-wasm'),
    registered: 'wasm',
    description: () => `WebAssembly (${wasmFeatures().join(', ')})`,
    ready: speedUpWasmMatMul
  },
  cpu: {
    load: async () => { await Promise.resolve() },
    registered: 'cpu',
    description: () => 'plain JavaScript (cpu)'
  }
}

let started: Promise<Backend> | undefined

/**
 * Starts the TensorFlow.js backend on which this process computes: the one that is asked for, or with `auto` the first
 * of node-gpu, node, wasm and cpu that works here. TensorFlow.js has one backend a process, so a later call returns
 * the one that runs.
 *
 * @throws {BackendError} if it cannot be started
 */
export async function startBackend (choice: BackendChoice = 'auto'): Promise<Backend> {
  started ??= start(choice)
  const backend = await started
  if (choice !== 'auto' && choice !== backend.name) {
    throw new BackendError(`backend ${backend.name} runs in this process already, ${choice} cannot be started beside it`)
  }
  return backend
}

async function start (choice: BackendChoice): Promise<Backend> {
  const failures: string[] = []
  for (const name of choice === 'auto' ? BACKENDS : [choice]) {
    try {
      return await startOne(name)
    } catch (error) {
      failures.push(`${name}: ${firstLine(error)}`)
    }
  }
  throw new BackendError(`no TensorFlow.js backend could be started (${failures.join('; ')}); wasm and cpu come with colanet, node and node-gpu with npm install @tensorflow/tfjs-node or @tensorflow/tfjs-node-gpu`)
}

async function startOne (name: BackendName): Promise<Backend> {
  const { load, registered, description, ready } = CANDIDATES[name]
  await load()
  if (!await tf.setBackend(registered)) throw new BackendError('it did not initialise')
  await tf.ready()
  ready?.()
  return { name, description: description() }
}

function wasmFeatures (): string[] {
  return [
    tf.env().getBool('WASM_HAS_SIMD_SUPPORT') ? 'SIMD' : 'no SIMD',
    tf.env().getBool('WASM_HAS_MULTITHREAD_SUPPORT') ? 'threads' : 'one thread'
  ]
}

function firstLine (error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]
}
