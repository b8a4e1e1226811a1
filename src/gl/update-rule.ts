import type * as tf from '@tensorflow/tfjs'

/** The update rule of one kind of optimiser, without any state of its own. */
export interface UpdateRule {
  /** Names of the tensors that it keeps beside each parameter, zero at the start. */
  readonly slots: readonly string[]
  /**
   * @param step from 1
   * @param slots in the order of `slots`
   * @returns the parameter and the slots after the step
   */
  update (parameter: tf.Tensor, gradient: tf.Tensor, slots: readonly tf.Tensor[], rate: number, step: number): { parameter: tf.Tensor, slots: tf.Tensor[] }
}
