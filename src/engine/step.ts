import type * as tf from '@tensorflow/tfjs'
import type { NamedTensors } from '../types.js'

/** Gives a step the tensors that it works on: its inputs, and the weights, by name. */
export type TensorsByName = <T extends tf.Tensor = tf.Tensor>(name: string) => T

/**
 * A pure function of tensors, written in TensorFlow.js. It may take gradients; it must not read numbers, wait, or draw
 * random ones, so that it can be recorded once and run many times.
 *
 * @returns what it gives, by name; tensors of their own
 */
export type Step = (tensor: TensorsByName) => Record<string, tf.Tensor>

/** What a step may be given. */
export interface TensorSpec {
  readonly shape: readonly number[]
  readonly dtype: 'float32' | 'int32'
}

export interface StepRun {
  readonly step: Step
  /** Names the step: the same name and the same shapes of inputs mean the same work. */
  readonly key: string
  readonly inputs: NamedTensors
}

export function specsOf (inputs: NamedTensors): Map<string, TensorSpec> {
  return new Map([...inputs].map(([name, { shape, values }]) => [name, { shape, dtype: values instanceof Int32Array ? 'int32' : 'float32' }]))
}
