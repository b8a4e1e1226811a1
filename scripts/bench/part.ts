import type { Options, Values } from '../../src/cli/options.js'
import type { Figure } from './figure.js'

/**
 * A part of the benchmark is data. `main.ts` lists them; the help, the check of options, the table and the line of JSON
 * follow from it.
 */
export interface Part<O extends Options = Options> {
  /** What is typed after `npm run bench --`. */
  readonly name: string
  /** One sentence for the help. */
  readonly describe: string
  /** By name in camel case. */
  readonly options: O
  // A method, whose parameters are bivariant: parts of different options stand in one list.
  measure (options: Values<O>, context: PartContext): Promise<Measured>
}

export interface PartContext {
  /** Empty, and gone when the part has ended. */
  readonly folder: string
  /** Ends with Ctrl+C. */
  readonly signal: AbortSignal
  /** A line on standard error. */
  readonly log: (line: string) => void
}

export interface Measured {
  readonly head: readonly string[]
  readonly rows: ReadonlyArray<readonly string[]>
  /** By key; null where it could not be measured here. */
  readonly figures: Readonly<Record<string, Figure | null>>
}

/** Gives `measure` the types of its options. */
export function definePart<const O extends Options> (part: Part<O>): Part<O> {
  return part
}

/** How often everything is measured. */
export function runsOption (runs: number): { readonly type: 'integer', readonly min: 1, readonly default: number, readonly describe: string } {
  return { type: 'integer', min: 1, default: runs, describe: 'how often everything is measured, in turns' }
}

export const MODEL_OPTION = { type: 'string', describe: 'Hugging Face folder of a GPT-2 (default: GPT-2 small with random weights, made on the spot)' } as const

export const THREADS_OPTION = { type: 'integer', min: 1, default: 2, describe: 'threads of what computes the base model' } as const
