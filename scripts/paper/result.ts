import type { Evaluated } from '../../src/node/evaluation.js'

/** What one user got to. */
export interface UserResult {
  readonly user: string
  /** Of each batch, before what was learned from it. */
  readonly losses: readonly number[]
  /** On what was never trained on. */
  readonly heldOut: Evaluated
  /** Numbers that were trained. */
  readonly parameters: number
}
