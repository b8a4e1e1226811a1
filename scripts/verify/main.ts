import '../../src/cli/stdout.js'
import { EXIT } from '../../src/cli/exit.js'
import { checkOptions, type Options } from '../../src/cli/options.js'
import { Progress } from '../../src/cli/progress.js'
import { table } from '../../src/cli/table.js'
import { writeToStdout } from '../../src/cli/stdout.js'
import { startBackend } from '../../src/engine/backend.js'
import { optionLines, typedOptions } from '../options.js'
import { log, runScript } from '../run-script.js'
import { inTemporaryFolder } from '../temporary-folder.js'
import type { Proposition } from './proposition.js'
import { gradientOfChange } from './propositions/gradient-of-change.js'
import { interval } from './propositions/interval.js'
import { meanOfMoves } from './propositions/mean-of-moves.js'
import { meanOfProducts } from './propositions/mean-of-products.js'
import { mergeAndUnmerge } from './propositions/merge-and-unmerge.js'
import { merged } from './propositions/merged.js'
import { severalUsers } from './propositions/several-users.js'
import { unmerged } from './propositions/unmerged.js'
import { type Verdict, verify } from './verification.js'

/** `npm run verify`: computes each proposition in two ways, and fails where they differ by more than its bound. */

const PROPOSITIONS: readonly Proposition[] = [gradientOfChange, unmerged, merged, severalUsers, interval, mergeAndUnmerge, meanOfProducts, meanOfMoves]

const OPTIONS = {
  seed: { type: 'integer', min: 0, default: 0, describe: 'the first seed, which decides models, batches, sites and auxiliaries' },
  seeds: { type: 'integer', min: 1, default: 20, describe: 'how many seeds, one after the other' },
  json: { type: 'boolean', describe: 'one JSON object in place of the table' }
} as const satisfies Options

function help (): string {
  return [
    'npm run verify -- [options]', '',
    'Computes each proposition in two ways on small random models, and prints its largest relative error. Exits with 1, and names',
    'it, where one is above its bound.', '',
    ...optionLines(OPTIONS, 7).map(line => `  ${line}`), '',
    ...PROPOSITIONS.flatMap(({ name, source, bound, reason }) => [`  ${name}`, `      ${source}`, `      within ${readableNumber(bound)}: ${reason}`]), ''
  ].join('\n')
}

async function main (args: readonly string[], signal: AbortSignal): Promise<void> {
  if (args.includes('--help')) {
    await writeToStdout(help())
    return
  }
  const { seed, seeds: count, json } = checkOptions(OPTIONS, typedOptions(args, OPTIONS))
  const seeds = Array.from({ length: count }, (_, i) => seed + i)
  await startBackend()
  const verdicts = await inTemporaryFolder('colanet-verify-', async folder => await verifyAll(seeds, folder, signal))
  await writeToStdout(`${json ? JSON.stringify(report(seed, count, verdicts)) : readable(verdicts)}\n`)
  const above = verdicts.filter(({ ok }) => !ok)
  for (const { proposition: { name, bound }, worst } of above) log(`verify: ${name}: ${worst === undefined ? 'no case' : `${readableNumber(worst.error)} in ${worst.name}`}; its bound is ${readableNumber(bound)}`)
  if (above.length > 0) process.exit(EXIT.failed)
}

async function verifyAll (seeds: readonly number[], folder: string, signal: AbortSignal): Promise<Verdict[]> {
  const progress = new Progress(process.stderr)
  const meter = progress.start('verify', { total: PROPOSITIONS.length * seeds.length })
  const said = new Set<string>() // every model says the same of this machine
  const once = (line: string): void => {
    if (!said.has(line)) progress.line(line)
    said.add(line)
  }
  const verdicts: Verdict[] = []
  let done = 0
  try {
    for (const proposition of PROPOSITIONS) {
      verdicts.push(await verify(proposition, seeds, { folder, log: once, signal }, () => meter.update(++done, proposition.name)))
    }
  } finally {
    meter.end()
  }
  return verdicts
}

function readable (verdicts: readonly Verdict[]): string {
  const longest = Math.max(...verdicts.map(({ worst }) => worst?.name.length ?? 0))
  return table(['proposition', 'cases', 'largest error', 'bound', '', 'in'.padEnd(longest)], verdicts.map(({ proposition: { name, bound }, cases, worst, ok }) => [
    name, String(cases), worst === undefined ? '–' : readableNumber(worst.error), readableNumber(bound), ok ? 'holds' : 'ABOVE', (worst?.name ?? '').padEnd(longest)
  ]))
}

function readableNumber (value: number): string {
  return value === 0 ? '0' : Number(value.toPrecision(2)).toExponential()
}

function report (seed: number, seeds: number, verdicts: readonly Verdict[]): object {
  return {
    ok: verdicts.every(({ ok }) => ok),
    seed,
    seeds,
    propositions: verdicts.map(({ proposition: { name, bound }, cases, worst, ok }) => ({ name, cases, error: worst?.error ?? null, bound, ok, worst: worst?.name ?? null }))
  }
}

await runScript('verify', main)
