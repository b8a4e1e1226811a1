import { EXIT, exitCodeOf, isInterruption } from '../src/cli/exit.js'
import { interruptSignal } from '../src/cli/interrupt.js'
import { WrongResultError } from '../src/cli/simulate/check.js'

/** A line on standard error. */
export function log (line: string): void {
  process.stderr.write(`${line}\n`)
}

/**
 * Runs a script, and ends the process with the exit code of what came of it, as the commands have it. Errors that nobody foresaw are
 * told with where they came from.
 *
 * @param name what is before an error
 */
export async function runScript (name: string, main: (args: readonly string[], signal: AbortSignal) => Promise<void>): Promise<void> {
  const signal = interruptSignal(log)
  try {
    await main(process.argv.slice(2), signal)
    process.exit(EXIT.done)
  } catch (thrown) {
    const error = isInterruption(thrown, signal) ? signal.reason as Error : thrown as Error
    log(`${name}: ${error.name}: ${error.message}`)
    if (exitCodeOf(error) === EXIT.failed && error.stack !== undefined && !(error instanceof WrongResultError)) log(error.stack)
    process.exit(exitCodeOf(error))
  }
}
