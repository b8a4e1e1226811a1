import type { AuxiliaryKind, Merge, Mode } from '../../src/types.js'
import type { Trained } from './task.js'

/** A way to train: a row of a table. */
export interface Method {
  readonly name: string
  /** Where gradients come from. */
  readonly way: 'back-propagation' | 'gradient-learning'
  /** What each user moves: of the first user, the second, … and again from the start. */
  readonly trained: readonly Trained[]
  readonly mode: Mode
  /** Whether auxiliaries are merged into the base model. By back-propagation they never are, which makes no difference. */
  readonly merge: Merge
  /** The name of the method that should do as well. */
  readonly twin?: string
}

/** Of Gradient Learning, with its twin's name. */
export function colaMethod (name: string, kinds: readonly AuxiliaryKind[], twin: string, { mode = 'alone', merge = 'never' }: { readonly mode?: Mode, readonly merge?: Merge } = {}): Method {
  return { name: `ColA ${name}`, way: 'gradient-learning', trained: kinds, mode, merge, twin }
}

export function backPropagationMethod (name: string, trained: readonly Trained[], mode: Mode = 'alone'): Method {
  return { name, way: 'back-propagation', trained, mode, merge: 'never' }
}
