import '../../src/cli/stdout.js'
import { mkdtemp, rm } from 'node:fs/promises'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { EXIT, exitCodeOf, isInterruption } from '../../src/cli/exit.js'
import { interruptSignal } from '../../src/cli/interrupt.js'
import { checkOptions, flag, kebab, type Options, outline } from '../../src/cli/options.js'
import { table } from '../../src/cli/simulate/table.js'
import { writeToStdout } from '../../src/cli/stdout.js'
import { suggest } from '../../src/cli/suggest.js'
import { InvalidOptionError } from '../../src/errors.js'
import { flat } from './figure.js'
import type { Part } from './part.js'
import { loop } from './parts/loop.js'
import { memory } from './parts/memory.js'
import { mesh } from './parts/mesh.js'
import { step } from './parts/step.js'
import { users } from './parts/users.js'

/** `npm run bench -- PART`: measures one part, prints a table, and as the last line one JSON object. */

const PARTS: readonly Part[] = [step, loop, memory, mesh, users]

function help (): string {
  const lines = PARTS.flatMap(({ name, describe, options }) => [
    `  ${name.padEnd(8)}  ${describe}`,
    ...Object.entries(options).map(([option, { describe, ...rest }]) => {
      const standard = 'default' in rest ? ` (default: ${String(rest.default)})` : ''
      return `${' '.repeat(12)}${flag(option)}  ${describe}${outline({ describe, ...rest })}${standard}`
    })
  ])
  return [
    'npm run bench -- PART [options]', '',
    'Measures in turns, A B C A B C …, after a warm-up; a turn of step and users begins with a run that does not count. A figure',
    'is the median of its runs; its spread, under the key + Spread, is the interquartile range divided by the median. The last',
    'line on standard output is one JSON object.', '',
    ...lines, '',
    'PYTHON=/path/to/python, with torch, transformers and peft, adds the comparison with PEFT to step and memory.', ''
  ].join('\n')
}

function partNamed (name: string): Part {
  const part = PARTS.find(part => part.name === name)
  if (part !== undefined) return part
  const names = PARTS.map(({ name }) => name)
  const near = suggest(name, names)
  throw new InvalidOptionError(`there is no part ${name}${near === undefined ? '' : ` (did you mean ${near}?)`}; use one of ${names.join(', ')}`)
}

/** By name in camel case. @throws {InvalidOptionError} */
function typedOptions (args: readonly string[], options: Options): Record<string, unknown> {
  const typeOf = ({ type }: Options[string]): 'boolean' | 'string' => type === 'boolean' ? 'boolean' : 'string'
  try {
    const { values } = parseArgs({
      args: [...args],
      options: Object.fromEntries(Object.entries(options).map(([name, option]) => [kebab(name), { type: typeOf(option), multiple: typeOf(option) === 'string' }]))
    })
    return Object.fromEntries(Object.keys(options).map(name => [name, (values as Record<string, unknown>)[kebab(name)]]))
  } catch (cause) {
    throw new InvalidOptionError((cause as Error).message, { cause })
  }
}

/** An empty folder that is gone afterwards, also at a second Ctrl+C; whoever we start has its temporary files there too. */
async function inFolder<T> (use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'colanet-bench-'))
  process.env.TMPDIR = folder
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function main (args: readonly string[], signal: AbortSignal): Promise<void> {
  const [name, ...rest] = args
  if (args.length === 0 || args.includes('--help')) {
    await writeToStdout(help())
    return
  }
  const part = partNamed(name)
  const options = checkOptions(part.options, typedOptions(rest, part.options))
  const { head, rows, figures } = await inFolder(async folder => await part.measure(options, { folder, signal, log }))
  await writeToStdout(`${table(head, rows)}\n${JSON.stringify({ part: part.name, ...flat(figures) })}\n`)
}

function log (line: string): void {
  process.stderr.write(`${line}\n`)
}

const signal = interruptSignal(log)
try {
  await main(process.argv.slice(2), signal)
  process.exit(EXIT.done)
} catch (thrown) {
  const error = isInterruption(thrown, signal) ? signal.reason as Error : thrown as Error
  log(`bench: ${error.name}: ${error.message}`)
  if (exitCodeOf(error) === EXIT.failed && error.stack !== undefined) log(error.stack)
  process.exit(exitCodeOf(error))
}
