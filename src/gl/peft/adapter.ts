/** What an adapter's folder holds, and what its files are called. */
import type { AdapterTensors, AuxiliarySpec, Site, Task } from '../../types.js'

/** An adapter as it lies in a folder that PEFT writes and reads. */
export interface Adapter {
  readonly spec: AuxiliarySpec
  readonly tensors: AdapterTensors
}

/** What an adapter's folder says of the base model that it is for. */
export interface AdapterBase {
  /** For people: where the base model lay. */
  readonly name: string
  readonly task: Task
  readonly sites: readonly Site[]
  /** Whether it stores the weights of linear modules as `[in, out]` (transformers' Conv1D). */
  readonly fanInFanOut: boolean
}

export const CONFIG_FILE = 'adapter_config.json'
export const TENSOR_FILE = 'adapter_model.safetensors'

/** PEFT's prefix of every key: the PeftModel, and the model that it wraps. */
export const KEY_PREFIX = 'base_model.model.'

/** Where `writeAdapter` leaves the spec of auxiliaries that PEFT's format does not tell. */
export const SPEC_MARK = 'colanet.spec'
