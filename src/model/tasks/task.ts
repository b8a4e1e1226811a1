import type * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../../engine/step.js'
import type { Batch, TensorValues } from '../../types.js'
import type { Network, NetworkInfo, Parameters, Tap } from '../network.js'

/** One input of a pass, with what fills it up where other rows are longer, or more. */
export interface Field {
  /** `[rows]`, `[rows, length]` or `[rows, …]`, row-major. */
  readonly values: TensorValues
  /** Of the axes after the rows: that of the input, that of the target, or as they are. */
  readonly axes: 'input' | 'target' | readonly number[]
  readonly fill: number
}

/** What a batch shall come near to. */
export interface Targets {
  /** One for each prediction: integers for tokens and classes, floats for numbers to come near to. */
  readonly values: TensorValues
  /** 1 / counted, or 0 where the label is ignored. */
  readonly weights: Float32Array
  /** Predictions that count. */
  readonly counted: number
}

/** What one task is: the pass knows none by name. */
export interface TaskDefinition<N extends Network = Network> {
  /** @throws {InvalidBatchError} naming the first thing that is wrong */
  check (batch: Batch, info: NetworkInfo): void

  targets (batch: Batch, info: Pick<NetworkInfo, 'labels'>): Targets

  /** The batch, checked, as inputs of a pass, by names of their own. */
  fields (batch: Batch, network: N): ReadonlyMap<string, Field>

  /** `[predictions, classes]`. Pure. */
  logits (network: N, parameters: Parameters, tensor: TensorsByName, tap: Tap): tf.Tensor2D
}
