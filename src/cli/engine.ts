import { BACKENDS } from '../engine/backend.js'
import { DEVICES, type EngineOptions } from '../engine/open-engine.js'
import type { Options, Values } from './options.js'

/** Options of every command that runs a base model. */
export const ENGINE_OPTIONS = {
  backend: { type: 'choice', choices: ['auto', ...BACKENDS], default: 'auto', describe: 'a TensorFlow.js backend to compute op by op (auto: passes of the base model are compiled, where ONNX Runtime is installed)' },
  device: { type: 'choice', choices: DEVICES, default: 'auto', describe: 'where compiled passes run (auto: CUDA where ONNX Runtime has it, else the CPU)' },
  threads: { type: 'integer', min: 1, describe: 'threads of compiled passes on the CPU (default: one a core)' }
} as const satisfies Options

export function engineOptions ({ backend, device, threads }: Values<typeof ENGINE_OPTIONS>): EngineOptions {
  return { backend, device, ...(threads === undefined ? {} : { threads }) }
}
