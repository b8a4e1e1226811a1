import type { Mode } from '../../src/types.js'

/** What `users-host.ts` is started with. */
export interface UsersHostInit {
  /** A folder. */
  readonly model: string
  readonly trainers: number
  /** Of all trainers together. */
  readonly rows: number
  readonly length: number
  readonly threads: number
  /** With `collaboration` all adapters are merged into θ, with `alone` each one runs beside it. */
  readonly mode: Mode
}
