import type { Command } from './command.js'
import { EXIT, exitCodeOf, isInterruption } from './exit.js'
import { interruptSignal } from './interrupt.js'
import { parse } from './parse.js'
import { Progress } from './progress.js'
import { StandardReport } from './standard-report.js'
import { writeToStdout } from './stdout.js'

/** Loads a command; only the one that is called, since each brings its libraries. */
export type CommandLoader = () => Promise<Command>

/**
 * Runs what the words after `colanet` ask for, and shows how it went.
 *
 * @returns the exit code
 */
export async function run (args: readonly string[], commands: Readonly<Record<string, CommandLoader>>): Promise<number> {
  const json = args.includes('--json')
  const verbose = args.includes('--verbose') || (process.env.DEBUG ?? '') !== ''
  const progress = new Progress(process.stderr)
  const log = (line: string): void => progress.line(line)
  const signal = interruptSignal(log)
  const report = new StandardReport(json)
  try {
    const parsed = await parse(args, await load(args, commands))
    if (parsed.kind === 'show') {
      await writeToStdout(parsed.text)
      return EXIT.done
    }
    await parsed.command.handler(parsed.options, { signal, progress, report: report.make, log })
    return signal.aborted ? exitCodeOf(signal.reason) : EXIT.done
  } catch (thrown) {
    const error = asError(isInterruption(thrown, signal) ? signal.reason : thrown)
    log(`colanet: ${error.name}: ${oneLine(error.message)}`)
    if (verbose && error.stack !== undefined) log(error.stack)
    await report.error(error)
    return exitCodeOf(error)
  }
}

async function load (args: readonly string[], commands: Readonly<Record<string, CommandLoader>>): Promise<Command[]> {
  const named = args.find(word => !word.startsWith('-'))
  const loaders = named !== undefined && Object.hasOwn(commands, named) ? [commands[named]] : Object.values(commands)
  return await Promise.all(loaders.map(async load => await load()))
}

function asError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

function oneLine (message: string): string {
  return message.trim().replace(/\s*\n\s*/g, ' ')
}
