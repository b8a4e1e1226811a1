import type { StoredTensor } from '../tensor/stored.js'
import type { NamedTensors } from '../types.js'
import type { StepRun } from './step.js'

/** Weights of a base model, by name. */
export type Weights = ReadonlyMap<string, StoredTensor>

/** Where steps run. It holds the weights, and one step at a time is run on it. */
export interface Engine {
  /** For reports: `onnxruntime-cpu`, or the name of an eager backend. */
  readonly name: string
  /** For people: what computes, and how. */
  readonly description: string

  /**
   * @throws {MemoryLimitError} if it would take more memory than it may; fewer rows take less
   * @throws {EngineError} if what computes fails
   */
  run (run: StepRun): Promise<NamedTensors<Float32Array>>

  dispose (): Promise<void>
}
