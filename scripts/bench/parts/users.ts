import { join } from 'node:path'
import { describeModel } from '../../../src/model/base-model.js'
import { figure, type Figure, ratio, readable } from '../figure.js'
import { modelFolder } from '../gpt2-small.js'
import { type Contestant, interleaved, valuesOf } from '../interleaved.js'
import { LineChild } from '../line-child.js'
import { definePart, type Measured, MODEL_OPTION, type PartContext, runsOption, THREADS_OPTION } from '../part.js'
import { PeakMemory } from '../peak-memory.js'
import { peftStep, startPeft } from '../peft.js'
import { randomBatch, writeBatch } from '../random-batch.js'
import type { UsersHostInit } from '../users-host-init.js'

const TRAINERS = [1, 2, 4, 8, 16, 32, 64]

/** So that the most trainers have a row each. */
const ROWS = Math.max(...TRAINERS)

/** At how many trainers `unmergedRatio` is taken. */
const UNMERGED = 8

/** Rounds of one process: the first compiles. */
const ROUNDS = 3

const HOST = join(import.meta.dirname, '..', 'users-host.ts')

const MERGED_WAY = 'merged'
const UNMERGED_WAY = 'unmerged'
const PEFT_WAY = 'peft'

/** What one process gave. */
interface Sample {
  readonly milliseconds: number
  /** Peak of anonymous memory, in MB of a million bytes. */
  readonly peak: number
  /** What it takes to merge all adapters anew, in milliseconds; null where they are not merged. */
  readonly merging: number | null
}

interface Rival extends Contestant<Sample> {
  readonly way: string
  readonly trainers: number
}

/**
 * What several trainers cost a host: the same rows in all, split among them, and asked for at the same moment. Whether
 * they are one pass is the host's affair. In the merged case nobody's adapter changes meanwhile, so that nothing is
 * merged anew; what that would take is told apart. PEFT has its adapters in one model, and does one after the other, as
 * it trains a single one at a time. Each run of each has a process of its own; its time is the median of its rounds.
 */
export const users = definePart({
  name: 'users',
  describe: `time and memory of a host, and of PyTorch + PEFT, for the same ${ROWS} rows of 1 to ${ROWS} trainers`,
  options: {
    runs: runsOption(2),
    length: { type: 'integer', min: 2, default: 16, describe: 'tokens in a row' },
    model: MODEL_OPTION,
    threads: THREADS_OPTION
  },
  measure: async ({ runs, length, model: asked, threads }, context) => {
    const model = await modelFolder(asked, context.folder, context.log)
    const rivals: Rival[] = [
      ...ours(MERGED_WAY, { model, rows: ROWS, length, threads, mode: 'collaboration' }, context),
      ...ours(UNMERGED_WAY, { model, rows: ROWS, length, threads, mode: 'alone' }, context),
      ...await pefts({ model, length, threads }, context)
    ]
    const measured = await interleaved(rivals, {
      ...context, runs, warmUps: 0, leadIn: false, show: ({ milliseconds, peak }) => `${milliseconds.toFixed(0)} ms ${peak.toFixed(0)} MB`
    })
    return result(rivals, measured)
  }
})

function ours (way: string, init: Omit<UsersHostInit, 'trainers'>, { signal }: PartContext): Rival[] {
  return TRAINERS.map(trainers => ({
    way,
    trainers,
    name: `${way} ${trainers}`,
    run: async () => {
      const child = await LineChild.fromSources(HOST, [JSON.stringify({ ...init, trainers })], signal)
      const { merging } = child.greeting as { merging: number | null }
      return { ...await rounds(child, async () => await child.ask('round') as { milliseconds: number }), merging }
    }
  }))
}

/** None, and said why, where there is no PEFT. */
async function pefts ({ model, length, threads }: Pick<UsersHostInit, 'model' | 'length' | 'threads'>, context: PartContext): Promise<Rival[]> {
  const batch = join(context.folder, 'batch.safetensors')
  await writeBatch(batch, randomBatch(ROWS, length, (await describeModel(model)).vocabSize))
  const start = async (adapters: number): Promise<LineChild | undefined> => await startPeft({ ...context, model, batch, threads, adapters, attention: 'sdpa' })
  const first = await start(1)
  if (first === undefined) return []
  await first.stop()
  return TRAINERS.map(trainers => ({
    way: PEFT_WAY,
    trainers,
    name: `${PEFT_WAY} ${trainers}`,
    run: async () => {
      const child = await start(trainers)
      if (child === undefined) throw new Error(`PEFT did not start with ${trainers} adapters`)
      return { ...await rounds(child, async () => await peftStep(child)), merging: null }
    }
  }))
}

/** All that is measured of a child, which is stopped then. */
async function rounds (child: LineChild, round: () => Promise<{ milliseconds: number }>): Promise<Pick<Sample, 'milliseconds' | 'peak'>> {
  const memory = new PeakMemory(child.pid)
  try {
    await round()
    const times: number[] = []
    while (times.length < ROUNDS - 1) times.push((await round()).milliseconds)
    return { milliseconds: figure(times).median, peak: await memory.stop() }
  } finally {
    await child.stop()
  }
}

function result (rivals: readonly Rival[], measured: ReadonlyMap<string, readonly Sample[]>): Measured {
  const samples = (way: string, trainers: number): readonly Sample[] => valuesOf(measured, `${way} ${trainers}`)
  const ratioToOne = (key: 'milliseconds' | 'peak') => (way: string, trainers: number): Figure =>
    ratio(samples(way, trainers).map(sample => sample[key]), samples(way, 1).map(sample => sample[key]))
  const [timeRatio, memoryRatio] = [ratioToOne('milliseconds'), ratioToOne('peak')]
  const worst = (figures: readonly Figure[]): Figure => figures.reduce((a, b) => b.median > a.median ? b : a)
  const merging = (trainers: number): Figure => figure(samples(MERGED_WAY, trainers).map(({ merging }) => merging ?? NaN))
  const several = TRAINERS.slice(1)
  return {
    head: ['trainers', 'ms for all', 'times one', 'MB', 'times one', 'ms to merge anew'],
    rows: rivals.map(({ name, way, trainers }) => [
      name,
      readable(figure(samples(way, trainers).map(({ milliseconds }) => milliseconds))),
      readable(timeRatio(way, trainers)),
      readable(figure(samples(way, trainers).map(({ peak }) => peak))),
      readable(memoryRatio(way, trainers)),
      way === MERGED_WAY ? readable(merging(trainers)) : ''
    ]),
    figures: {
      mergedTimeRatio: worst(several.map(trainers => timeRatio(MERGED_WAY, trainers))),
      mergedMemoryRatio: worst(several.map(trainers => memoryRatio(MERGED_WAY, trainers))),
      unmergedRatio: timeRatio(UNMERGED_WAY, UNMERGED),
      unmergedMemoryRatio: memoryRatio(UNMERGED_WAY, UNMERGED),
      peftRatio: rivals.some(({ way }) => way === PEFT_WAY) ? timeRatio(PEFT_WAY, UNMERGED) : null,
      mergeOneMs: merging(1),
      mergeAllMs: merging(ROWS)
    }
  }
}
