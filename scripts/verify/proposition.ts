import type { Scene } from './scene.js'

/**
 * A proposition of the paper, or of ours, is data. `main.ts` lists them; the help, the table, the JSON and the exit code follow
 * from it.
 */
export interface Proposition {
  /** As it is printed. */
  readonly name: string
  /** Where it stands: paper and place. */
  readonly source: string
  /** The largest relative error that is accepted. */
  readonly bound: number
  /** Why it is that one. */
  readonly reason: string
  /** Each computed in both ways. */
  cases (scene: Scene): AsyncGenerator<Case>
}

/** What one case gave. */
export interface Case {
  /** What was compared. */
  readonly name: string
  /** Relative, see `relativeError`; 0 where all is equal to the bit. */
  readonly error: number
}

/** Of what is computed in float32 by two ways, and depends on every layer of a small model: half a unit in the last place is 6e-8. */
export const FLOAT32 = { bound: 1e-5, reason: 'two ways through a small model in float32, the residual injected' } as const
