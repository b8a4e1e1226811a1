import type * as tf from '@tensorflow/tfjs'
import type { Site } from '../types.js'

/** What one kind of auxiliary is: the rest of this folder knows no kind by name. */
export interface AuxiliaryDefinition {
  /** Parameters under PEFT's names where it has them, with their shapes, in a fixed order. */
  shapes (site: Site, rank: number): ReadonlyMap<string, readonly number[]>
  /** Start values, such that g gives 0. */
  initial (site: Site, rank: number, seed: number): tf.Tensor[]
  /**
   * g_w(x) `[places, out]`, without α, for parameters in the order of `shapes`. Plain TensorFlow.js, differentiable.
   *
   * @param x as `matrixInput` gives it
   */
  apply (site: Site, x: tf.Tensor2D, parameters: readonly tf.Tensor[]): tf.Tensor2D
  /**
   * ‖J_wᵀ∇ĥ‖² of each row by itself, over all parameters, without α, `[rows]`: the gradients of rows need not be formed for it.
   *
   * @param x as in `apply`
   * @param gradient ∇ĥ `[rows, places, out]`
   * @default `squaredNormsRowByRow`
   */
  squaredNorms?: (site: Site, x: tf.Tensor2D, gradient: tf.Tensor3D, parameters: readonly tf.Tensor[]) => tf.Tensor1D
}
