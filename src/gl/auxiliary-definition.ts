import type * as tf from '@tensorflow/tfjs'
import type { FloatTensor, Site } from '../types.js'

/** What of its module some kinds see beside x. */
export interface SeenBeside {
  /** Of what the module gives without them that which `seenBy` names, `[places, out]`. */
  readonly output?: tf.Tensor2D
  /** Norms of the rows of W + αBA, `[out]`. */
  readonly norm?: tf.Tensor1D
}

interface Seen extends SeenBeside {
  /** α, for kinds that have it within g. */
  readonly scale: number
}

/** What one kind of auxiliary is: the rest of this folder knows no kind by name. */
export interface AuxiliaryDefinition {
  /**
   * Parameters under PEFT's names where it has them, with their shapes, in a fixed order.
   *
   * @throws {InvalidOptionError} if there are none of this kind at such modules
   */
  shapes (site: Site, rank: number): ReadonlyMap<string, readonly number[]>
  /**
   * Start values, such that g gives 0.
   *
   * @param norm norms of the rows of W, `[out]`
   * @throws {InvalidOptionError} if they are needed and missing
   */
  initial (site: Site, rank: number, seed: number, norm?: FloatTensor): tf.Tensor[]
  /**
   * g_w(x) `[places, out]`, without α, for parameters in the order of `shapes`. Plain TensorFlow.js, differentiable.
   *
   * @param x as `matrixInput` gives it
   */
  apply (site: Site, x: tf.Tensor2D, parameters: readonly tf.Tensor[], seen: Seen): tf.Tensor2D
  /**
   * ‖J_wᵀ∇ĥ‖² of each row by itself, over all parameters, without α, `[rows]`: the gradients of rows need not be formed for it.
   *
   * @param x as in `apply`
   * @param gradient ∇ĥ `[rows, places, out]`
   * @default `squaredNormsRowByRow`
   */
  squaredNorms?: (site: Site, x: tf.Tensor2D, gradient: tf.Tensor3D, parameters: readonly tf.Tensor[], seen: Seen) => tf.Tensor1D
}
