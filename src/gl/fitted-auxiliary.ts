import * as tf from '@tensorflow/tfjs'
import type { AuxiliaryTensors, FloatTensor, Site } from '../types.js'
import type { SeenBeside } from './auxiliary-definition.js'

/** An auxiliary as it is fitted: its parameters belong to it until `dispose`. */
export interface FittedAuxiliary {
  readonly site: Site
  /** Trainable tensors by name. */
  readonly parameters: ReadonlyMap<string, tf.Variable>
  /** J_wᵀ·α·∇ĥ for every parameter; the tensors belong to the caller. */
  gradients (x: tf.Tensor2D, gradient: tf.Tensor2D, seen?: SeenBeside): Map<string, tf.Tensor>
  /** ‖J_wᵀ·α·∇ĥ‖² of each row of a batch by itself, over all parameters, `[rows]`; the tensor belongs to the caller. */
  squaredNorms (x: tf.Tensor2D, gradient: tf.Tensor2D, rows: number, seen?: SeenBeside): tf.Tensor1D
  /** The same as `gradients` from what the pairs do to factors. */
  scaled (gradients: AuxiliaryTensors): Map<string, tf.Tensor>
  /** The same as `gradients` from G = Σ∇ĥ·xᵀ `[out, in]`. @throws {InvalidTensorError} if g is not linear in x */
  ofProduct (product: tf.Tensor2D): Map<string, tf.Tensor>
  /** Whether `assign` will take them. @throws {InvalidAdapterError} */
  check (tensors: AuxiliaryTensors): void
  /** Goes on from other values. @throws {InvalidAdapterError} */
  assign (tensors: AuxiliaryTensors): void
  /** Its parameters at rest. */
  toTensors (): Promise<AuxiliaryTensors>
  /** What runs beside the base model. */
  contributed (): Promise<AuxiliaryTensors>
  dispose (): void
}

/** A parameter at its start. */
export function asVariable ({ shape, values }: FloatTensor): tf.Variable {
  return tf.tidy(() => tf.variable(tf.tensor(values.slice(), [...shape])))
}
