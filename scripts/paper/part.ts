import type { Options, Values } from '../../src/cli/options.js'
import type { Claim } from './claims.js'

/** A part of the paper is data: `main.ts` lists them, and the help, the check of options and the files follow from it. */
export interface Part<O extends Options = Options> {
  /** What is typed after `npm run paper --`. */
  readonly name: string
  /** One sentence for the help. */
  readonly describe: string
  /** By name in camel case, beside `COMMON_OPTIONS`. */
  readonly options: O
  // A method, whose parameters are bivariant: parts of different options stand in one list.
  run (options: Values<O> & CommonValues, context: PartContext): Promise<Outcome>
}

export const COMMON_OPTIONS = {
  quick: { type: 'boolean', describe: 'small settings and few seeds: minutes on two cores' },
  seeds: { type: 'integer', min: 1, describe: 'how many seeds each method is trained with (default: 5, with --quick 2)' },
  seed: { type: 'integer', min: 0, max: 2 ** 32 - 1001, default: 0, describe: 'the first of them' },
  threads: { type: 'integer', min: 1, describe: 'threads of what computes the base model (default: one a core)' }
} as const satisfies Options

export type CommonValues = Values<typeof COMMON_OPTIONS>

export interface PartContext {
  /** Empty, and gone when all has ended. */
  readonly folder: string
  /** Ends with Ctrl+C. */
  readonly signal: AbortSignal
  /** A line on standard error. */
  readonly log: (line: string) => void
}

/** What a part found. */
export interface Outcome {
  /** In a line. */
  readonly title: string
  readonly head: readonly string[]
  readonly rows: ReadonlyArray<readonly string[]>
  /** What has to be known to read the table: a line each. */
  readonly notes: readonly string[]
  readonly claims: readonly Claim[]
  /** Pictures as SVG, by their names. */
  readonly charts: ReadonlyMap<string, string>
  /** All numbers, for programs. */
  readonly data: Readonly<Record<string, unknown>>
}

/** Gives `run` the types of its options. */
export function definePart<const O extends Options> (part: Part<O>): Part<O> {
  return part
}
