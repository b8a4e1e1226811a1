import type * as tf from '@tensorflow/tfjs'

/** The update rule of one kind of optimiser, without any state of its own. */
export interface UpdateRule {
  /** The tensors that it keeps beside a parameter of this shape, with their shapes, in a fixed order; zero at the start. */
  slots (shape: readonly number[]): ReadonlyMap<string, readonly number[]>
  /**
   * @param gradient in the parameter's shape
   * @param slots in the order of `slots`
   * @param step from 1
   * @returns the parameter and the slots after the step
   */
  update (parameter: tf.Tensor, gradient: tf.Tensor, slots: readonly tf.Tensor[], rate: number, step: number): { parameter: tf.Tensor, slots: tf.Tensor[] }
}
