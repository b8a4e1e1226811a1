import '../../src/cli/stdout.js'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { EXIT } from '../../src/cli/exit.js'
import { checkOptions, type Options } from '../../src/cli/options.js'
import { Progress } from '../../src/cli/progress.js'
import { writeToStdout } from '../../src/cli/stdout.js'
import { table } from '../../src/cli/table.js'
import { replaceFile } from '../../src/files.js'
import { optionLines, typedOptions } from '../options.js'
import { log, runScript } from '../run-script.js'
import { runSeed, type SeedOutcome } from './memory.js'
import { type ProcessesOutcome, runProcesses } from './processes.js'
import { seedsOf } from './seeds.js'

/** `npm run chaos`: members of a job meet all that may befall them, and fails where they do not end with the same ΔW. */

const OPTIONS = {
  seeds: { type: 'string', default: '1-300', describe: 'of the runs in memory: from the first to the last, or one; the first decides the moments of the processes' },
  processes: { type: 'integer', min: 3, max: 32, default: 6, describe: 'how many, one of them a host, and from six on two' },
  only: { type: 'choice', choices: ['memory', 'processes'], describe: 'one of the two parts' },
  out: { type: 'string', default: '.colanet/chaos', describe: 'folder for the events of runs in which something does not hold' }
} as const satisfies Options

function help (): string {
  return [
    'npm run chaos -- [options]', '',
    'In memory, with a seed: members of a job whose messages are dropped, delayed, doubled and overtake one another, who are cut off, killed',
    'and started again, beside one that lies. In processes: the command line, with kill -9 and kill -STOP. Every member that survives',
    'has to end with the same ΔW, with no contribution lost or counted twice, and none may hang. Exits with 1 where that is not so, and says',
    'how to see it again. The last line on standard output is one JSON object.', '',
    ...optionLines(OPTIONS, 12).map(line => `  ${line}`), ''
  ].join('\n')
}

async function main (args: readonly string[], signal: AbortSignal): Promise<void> {
  if (args.includes('--help')) {
    await writeToStdout(help())
    return
  }
  const { seeds: range, processes: count, only, out } = checkOptions(OPTIONS, typedOptions(args, OPTIONS))
  const seeds = seedsOf(range)
  const memory = only === 'processes' ? undefined : await runSeeds(seeds, out, signal)
  const processes = only === 'memory' ? undefined : await runProcesses({ count, seed: seeds[0], log, signal })
  await writeToStdout(`${[...memory === undefined ? [] : [readable(memory)], ...processes === undefined ? [] : [readableProcesses(processes)]].join('\n')}\n`)
  const ok = (memory ?? []).every(holds) && (processes === undefined || processes.broken.length === 0)
  await writeToStdout(`${JSON.stringify({ ok, ...(memory && { memory: report(memory) }), ...(processes && { processes }) })}\n`)
  for (const { seed, broken } of (memory ?? []).filter(outcome => !holds(outcome))) {
    log(`chaos: seed ${seed}: ${broken.join('; ')}`)
    log(`chaos: its events are in ${fileOf(out, seed)}; again: npm run chaos -- --seeds ${seed} --only memory`)
  }
  if (processes !== undefined && processes.broken.length > 0) {
    const path = join(out, `processes-${seeds[0]}.txt`)
    await replaceFile(path, `${processes.events.join('\n')}\n`)
    log(`chaos: processes: ${processes.broken.join('; ')}`)
    log(`chaos: what befell them is in ${path}; again: npm run chaos -- --seeds ${seeds[0]} --processes ${count} --only processes`)
  }
  if (!ok) process.exit(EXIT.failed)
}

async function runSeeds (seeds: readonly number[], out: string, signal: AbortSignal): Promise<SeedOutcome[]> {
  const meter = new Progress(process.stderr).start('chaos', { total: seeds.length })
  const outcomes: SeedOutcome[] = []
  try {
    for (const seed of seeds) {
      const outcome = await runSeed(seed)
      outcomes.push(outcome)
      if (!holds(outcome)) await replaceFile(fileOf(out, seed), `${outcome.events.join('\n')}\n`)
      meter.update(outcomes.length, `${outcomes.filter(outcome => !holds(outcome)).length} broken`)
      await turn() // so that Ctrl+C is heard
      signal.throwIfAborted()
    }
  } finally {
    meter.end()
  }
  return outcomes
}

function fileOf (out: string, seed: number): string {
  return join(out, `${seed}.txt`)
}

function holds ({ broken }: SeedOutcome): boolean {
  return broken.length === 0
}

function totals (outcomes: readonly SeedOutcome[]): SeedOutcome['counts'] {
  const names = Object.keys(outcomes[0].counts) as Array<keyof SeedOutcome['counts']>
  return Object.fromEntries(names.map(name => [name, outcomes.reduce((sum, { counts }) => sum + counts[name], 0)])) as unknown as SeedOutcome['counts']
}

function readable (outcomes: readonly SeedOutcome[]): string {
  const { members, contributions, kills, restarts, partitions, lies, messages, dropped, delayed, doubled } = totals(outcomes)
  const broken = outcomes.filter(outcome => !holds(outcome)).length
  return table(
    ['seeds', 'members', 'contributions', 'kills', 'restarts', 'partitions', 'lies', 'messages', 'dropped', 'delayed', 'doubled', ''],
    [[...[outcomes.length, members, contributions, kills, restarts, partitions, lies, messages, dropped, delayed, doubled].map(String), broken === 0 ? 'all hold' : `${broken} BROKEN`]]
  )
}

function report (outcomes: readonly SeedOutcome[]): object {
  return {
    seeds: outcomes.length,
    ...totals(outcomes),
    events: createHash('sha256').update(outcomes.map(({ hash }) => hash).join()).digest('hex'),
    broken: outcomes.filter(outcome => !holds(outcome)).map(({ seed, broken }) => ({ seed, broken }))
  }
}

function readableProcesses ({ processes, kills, restarts, stops, survivors, broken }: ProcessesOutcome): string {
  return table(['processes', 'kills', 'restarts', 'stops', 'survivors', ''], [[...[processes, kills, restarts, stops, survivors].map(String), broken.length === 0 ? 'all hold' : 'BROKEN']])
}

await runScript('chaos', main)
