import '../../src/cli/stdout.js'
import { join } from 'node:path'
import { EXIT } from '../../src/cli/exit.js'
import { checkOptions, type Options } from '../../src/cli/options.js'
import { Progress } from '../../src/cli/progress.js'
import { readableBytes, table } from '../../src/cli/table.js'
import { writeToStdout } from '../../src/cli/stdout.js'
import { InvalidOptionError } from '../../src/errors.js'
import { replaceFile } from '../../src/files.js'
import { optionLines, typedOptions } from '../options.js'
import { partNamed } from '../part-named.js'
import { log, runScript } from '../run-script.js'
import { inTemporaryFolder } from '../temporary-folder.js'
import { DECODERS } from './decoders.js'
import type { Decoder } from './decoder.js'
import { fuzz, MAX_GROWTH, MAX_RETAINED, type Outcome } from './fuzz.js'

/** `npm run fuzz`: has each decoder read damaged messages, and fails where one does anything but decode or refuse. */

const OPTIONS = {
  messages: { type: 'integer', min: 1, default: 10_000, describe: 'how many for each decoder' },
  seed: { type: 'integer', min: 0, default: 1, describe: 'decides all messages' },
  only: { type: 'string', describe: 'one decoder' },
  message: { type: 'integer', min: 0, describe: 'with --only: one message, by its number' },
  out: { type: 'string', default: '.colanet/fuzz', describe: 'folder for messages that break the rule' }
} as const satisfies Options

function help (): string {
  return [
    'npm run fuzz -- [options]', '',
    'Damages valid messages, and has each decoder read them. A message is decoded to something valid, or refused by one of the errors',
    `of src/errors.ts; no more than ${readableBytes(MAX_RETAINED)} of all messages of a decoder stay in memory, and the process grows by no more than`,
    `${readableBytes(MAX_GROWTH)}. Exits with 1 where that is not so, with the message as hex in a file. The last line on standard output is one`,
    'JSON object.', '',
    ...optionLines(OPTIONS, 9).map(line => `  ${line}`), '',
    ...DECODERS.map(({ name }) => `  ${name}`), ''
  ].join('\n')
}

async function main (args: readonly string[], signal: AbortSignal): Promise<void> {
  if (args.includes('--help')) {
    await writeToStdout(help())
    return
  }
  const { messages, seed, only, message, out } = checkOptions(OPTIONS, typedOptions(args, OPTIONS))
  if (message !== undefined && only === undefined) throw new InvalidOptionError('--message is one of a decoder; say which with --only')
  const decoders = only === undefined ? DECODERS : [partNamed(DECODERS, only)]
  const numbers = message === undefined ? Array.from({ length: messages }, (_, i) => i) : [message]
  const outcomes = await inTemporaryFolder('colanet-fuzz-', async folder => await fuzzAll(decoders, { seed, numbers, folder, signal }))
  await writeToStdout(`${readable(outcomes)}\n${JSON.stringify(report(seed, outcomes))}\n`)
  for (const outcome of outcomes) await tell(outcome, seed, out)
  if (!outcomes.every(holds)) process.exit(EXIT.failed)
}

interface FuzzAllInit {
  readonly seed: number
  readonly numbers: readonly number[]
  readonly folder: string
  readonly signal: AbortSignal
}

async function fuzzAll (decoders: readonly Decoder[], { seed, numbers, folder, signal }: FuzzAllInit): Promise<Outcome[]> {
  const meter = new Progress(process.stderr).start('fuzz', { total: decoders.length * numbers.length })
  const outcomes: Outcome[] = []
  let through = 0
  try {
    for (const decoder of decoders) {
      outcomes.push(await fuzz(decoder, { seed, messages: numbers, folder, signal, done: () => meter.update(++through, decoder.name) }))
    }
  } finally {
    meter.end()
  }
  return outcomes
}

function holds ({ broken, retained, growth }: Outcome): boolean {
  return broken === undefined && retained <= MAX_RETAINED && growth <= MAX_GROWTH
}

function readable (outcomes: readonly Outcome[]): string {
  return table(['decoder', 'messages', 'accepted', 'slowest', 'retained', 'growth', '', 'refused'], outcomes.map(outcome => [
    outcome.decoder, String(outcome.messages), String(outcome.accepted), `${outcome.slowest.toFixed(1)} ms`, readableBytes(outcome.retained), readableBytes(outcome.growth),
    holds(outcome) ? 'holds' : 'BROKEN', [...outcome.refused].map(([name, count]) => `${name} ${count}`).join(', ')
  ]))
}

function report (seed: number, outcomes: readonly Outcome[]): object {
  return {
    ok: outcomes.every(holds),
    seed,
    messages: outcomes.reduce((sum, { messages }) => sum + messages, 0),
    slowestMs: Number(Math.max(...outcomes.map(({ slowest }) => slowest)).toFixed(1)),
    retainedMb: megabytes(Math.max(...outcomes.map(({ retained }) => retained))),
    growthMb: megabytes(Math.max(...outcomes.map(({ growth }) => growth))),
    decoders: outcomes.map(outcome => ({
      name: outcome.decoder,
      ok: holds(outcome),
      messages: outcome.messages,
      accepted: outcome.accepted,
      refused: Object.fromEntries(outcome.refused),
      broken: outcome.broken === undefined ? null : { message: outcome.broken.message, error: outcome.broken.error.name }
    }))
  }
}

function megabytes (bytes: number): number {
  return Number((bytes / 1e6).toFixed(1))
}

/** What does not hold, and how to see it again. */
async function tell ({ decoder, broken, retained, growth }: Outcome, seed: number, out: string): Promise<void> {
  if (retained > MAX_RETAINED) log(`fuzz: ${decoder}: ${readableBytes(retained)} of its messages stay in memory; at most ${readableBytes(MAX_RETAINED)} may`)
  if (growth > MAX_GROWTH) log(`fuzz: ${decoder}: the process has grown by ${readableBytes(growth)}; at most ${readableBytes(MAX_GROWTH)} is accepted`)
  if (broken === undefined) return
  const { message, bytes, error } = broken
  const path = join(out, `${decoder.replaceAll(' ', '-')}-${seed}-${message}.hex`)
  await replaceFile(path, Buffer.from(bytes).toString('hex'))
  log(`fuzz: ${decoder}: message ${message} is in ${path}; again: npm run fuzz -- --seed ${seed} --only '${decoder}' --message ${message}`)
  log(error.stack?.slice(0, 2_000) ?? error.message.slice(0, 2_000))
}

await runScript('fuzz', main)
