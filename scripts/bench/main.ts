import '../../src/cli/stdout.js'
import { setMaxListeners } from 'node:events'
import { checkOptions } from '../../src/cli/options.js'
import { table } from '../../src/cli/table.js'
import { writeToStdout } from '../../src/cli/stdout.js'
import { optionLines, typedOptions } from '../options.js'
import { partNamed } from '../part-named.js'
import { log, runScript } from '../run-script.js'
import { inTemporaryFolder } from '../temporary-folder.js'
import { flat } from './figure.js'
import type { Part } from './part.js'
import { blob } from './parts/blob.js'
import { crowd } from './parts/crowd.js'
import { failover } from './parts/failover.js'
import { fits } from './parts/fits.js'
import { loop } from './parts/loop.js'
import { memory } from './parts/memory.js'
import { mesh } from './parts/mesh.js'
import { step } from './parts/step.js'
import { tasks } from './parts/tasks.js'
import { users } from './parts/users.js'
import { wire } from './parts/wire.js'

/** `npm run bench -- PART`: measures one part, prints a table, and as the last line one JSON object. */

const PARTS: readonly Part[] = [step, loop, memory, mesh, users, tasks, fits, blob, wire, failover, crowd]

function help (): string {
  const lines = PARTS.flatMap(({ name, describe, options }) => [
    `  ${name.padEnd(8)}  ${describe}`,
    ...optionLines(options).map(line => `${' '.repeat(12)}${line}`)
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

async function main (args: readonly string[], signal: AbortSignal): Promise<void> {
  const [name, ...rest] = args
  if (args.length === 0 || args.includes('--help')) {
    await writeToStdout(help())
    return
  }
  const part = partNamed(PARTS, name)
  setMaxListeners(0, signal) // all processes of a part wait with it
  const options = checkOptions(part.options, typedOptions(rest, part.options))
  const { head, rows, figures } = await inTemporaryFolder('colanet-bench-', async folder => await part.measure(options, { folder, signal, log }))
  await writeToStdout(`${table(head, rows)}\n${JSON.stringify({ part: part.name, ...flat(figures) })}\n`)
}

await runScript('bench', main)
