import type { Options, Values } from './options.js'
import type { Progress } from './progress.js'

/**
 * A command of `colanet` is data. `main.ts` lists them; what follows from the data (help, the check of options, reports,
 * errors, exit codes) is written once, in `run.ts`.
 *
 * @example
 * export const greet = defineCommand({
 *   command: 'greet',
 *   describe: 'says hello',
 *   options: { name: { type: 'string', describe: 'whom', required: true }, times: { type: 'integer', describe: 'how often', min: 1, default: 1 } },
 *   examples: [['greet --name Ada', 'hello to one person']],
 *   handler: async ({ name, times }, { report }) => { await report({ name, times }, `hello ${name}`.repeat(times)) }
 * })
 */
export interface Command<O extends Options = Options> {
  /** What is typed after `colanet`. */
  readonly command: string
  /** One sentence for the help. */
  readonly describe: string
  /** By name in camel case: `batchSize` is `--batch-size`. `--json`, `--verbose`, `--help` and `--version` are there always. */
  readonly options: O
  /** Calls, without `colanet` before them, each with what it does. At least one. */
  readonly examples: readonly [Example, ...Example[]]
  /**
   * Does the work. That it returns says that all went well, or that it saved and left after the signal ended; whatever it
   * throws is shown to the user and decides on the exit code, see `exit.ts`.
   */
  // A method, whose parameters are bivariant: commands of different options stand in one list.
  handler (options: Values<O>, context: Context): Promise<void>
}

type Example = readonly [call: string, effect: string]

/** What a command needs of the terminal it was started from. */
export interface Context {
  /** Ends with Ctrl+C, SIGTERM, or the parent process that started us; its reason is an `InterruptedError`. */
  readonly signal: AbortSignal
  /** Bars, or lines, on standard error. */
  readonly progress: Progress
  /**
   * The result, once: the object as one line of JSON with `--json`, the summary otherwise. Nothing else is ever on
   * standard output.
   *
   * @param summary for people, may be several lines
   */
  readonly report: (object: object, summary: string) => Promise<void>
  /** A line on standard error. */
  readonly log: (line: string) => void
}

/** Gives the handler the types of its options. */
export function defineCommand<const O extends Options> (command: Command<O>): Command<O> {
  return command
}
