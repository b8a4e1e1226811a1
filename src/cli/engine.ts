import { BACKENDS } from '../engine/backend.js'
import { DEVICES, type EngineOptions } from '../engine/open-engine.js'
import { MODEL_DTYPES } from '../model/weights.js'
import type { ModelOptions } from '../node/host/local-model.js'
import { QUANTIZATIONS } from '../tensor/quantize.js'
import type { Options, Values } from './options.js'

/** What computes passes. */
export const COMPUTE_OPTIONS = {
  backend: { type: 'choice', choices: ['auto', ...BACKENDS], default: 'auto', describe: 'a TensorFlow.js backend to compute op by op (auto: passes of the base model are compiled, where ONNX Runtime is installed)' },
  device: { type: 'choice', choices: DEVICES, default: 'auto', describe: 'where compiled passes run (auto: CUDA where ONNX Runtime has it, else the CPU)' },
  threads: { type: 'integer', min: 1, describe: 'threads of compiled passes on the CPU (default: one a core)' },
  spin: { type: 'boolean', default: false, describe: 'let those threads wait busily for more work: faster on a machine that has nothing else to do' },
  memory: { type: 'integer', min: 1, describe: 'MB that passes may take beside the weights; larger ones are done in parts (default: half of the machine\'s)' }
} as const satisfies Options

/** Options of every command that runs a base model, whatever its weights are kept as. */
export const ENGINE_OPTIONS = {
  ...COMPUTE_OPTIONS,
  dtype: { type: 'choice', choices: MODEL_DTYPES, default: 'f32', describe: 'what the base model\'s matrices are kept as: 16 bits take half the memory, and on cuda and webgpu are computed in, on the CPU widened for each product' },
  baseQuantize: { type: 'choice', choices: QUANTIZATIONS, describe: 'what the matrices of the base model\'s linear modules are kept as: 8 or 4 bits take about a quarter or a seventh of the memory, and change the numbers' }
} as const satisfies Options

export function engineOptions ({ dtype, baseQuantize, ...compute }: Values<typeof ENGINE_OPTIONS>): ModelOptions {
  return { ...computeOptions(compute), dtype, baseQuantize }
}

export function computeOptions ({ backend, device, threads, spin, memory }: Values<typeof COMPUTE_OPTIONS>): EngineOptions {
  return { backend, device, spin, ...(threads === undefined ? {} : { threads }), ...(memory === undefined ? {} : { memory: memory * 1e6 }) }
}
