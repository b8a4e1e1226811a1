import { join } from 'node:path'
import { type Figure, figure, ratio, readable } from '../figure.js'
import { modelFolder } from '../gpt2-small.js'
import { interleaved, valuesOf } from '../interleaved.js'
import { LineChild } from '../line-child.js'
import { definePart, type Measured, MODEL_OPTION, type PartContext, runsOption, THREADS_OPTION } from '../part.js'
import { PeakMemory } from '../peak-memory.js'
import type { UsersHostInit } from '../users-host-init.js'

const MERGED = [1, 2, 4, 8, 16, 32, 64]
const UNMERGED = [1, 8]

/** So that the most trainers have a row each. */
const ROWS = Math.max(...MERGED)

const HOST = join(import.meta.dirname, '..', 'users-host.ts')

interface UsersHost {
  readonly name: string
  readonly trainers: number
  /** What it takes to merge all adapters anew, in milliseconds; null where they are not merged. */
  readonly merging: number | null
  readonly child: LineChild
  readonly memory: PeakMemory
}

/**
 * What several trainers cost a host: the same rows in all, split among them, and asked for at the same moment. Whether
 * they are one pass is the host's affair. In the merged case nobody's adapter changes meanwhile, so that nothing is
 * merged anew; what that would take is told apart. Each number of trainers has a process of its own, all of which stay,
 * and take turns. Memory is anonymous, in MB of a million bytes, from the start to the end of the process.
 */
export const users = definePart({
  name: 'users',
  describe: `a host's time and memory for the same ${ROWS} rows of 1 to ${ROWS} trainers, merged and unmerged`,
  options: {
    runs: runsOption(3),
    length: { type: 'integer', min: 2, default: 32, describe: 'tokens in a row' },
    model: MODEL_OPTION,
    threads: THREADS_OPTION
  },
  measure: async ({ runs, length, model: asked, threads }, context) => {
    const model = await modelFolder(asked, context.folder, context.log)
    const hosts: UsersHost[] = []
    try {
      for (const [mode, counts] of [['collaboration', MERGED], ['alone', UNMERGED]] as const) {
        for (const trainers of counts) hosts.push(await startHost({ model, trainers, rows: ROWS, length, threads, mode }, context))
      }
      const measured = await interleaved(hosts.map(({ name, child }) => ({
        name,
        run: async () => (await child.ask('round') as { milliseconds: number }).milliseconds
      })), { ...context, runs, show: value => `${value.toFixed(0)} ms` })
      const peaks = new Map<string, number>()
      for (const { name, memory } of hosts) peaks.set(name, await memory.stop())
      return result(hosts, measured, peaks)
    } finally {
      await Promise.all(hosts.map(async ({ child }) => await child.stop()))
    }
  }
})

async function startHost (init: UsersHostInit, { signal, log }: PartContext): Promise<UsersHost> {
  const child = await LineChild.fromSources(HOST, [JSON.stringify(init)], signal)
  const { merging } = child.greeting as { merging: number | null }
  const name = nameOf(init.mode === 'collaboration', init.trainers)
  log(`${name} is ready`)
  return { name, trainers: init.trainers, merging, child, memory: new PeakMemory(child.pid) }
}

function nameOf (merged: boolean, trainers: number): string {
  return `${merged ? 'merged' : 'unmerged'} ${trainers}`
}

function result (hosts: readonly UsersHost[], measured: ReadonlyMap<string, readonly number[]>, peaks: ReadonlyMap<string, number>): Measured {
  const times = (merged: boolean, trainers: number): readonly number[] => valuesOf(measured, nameOf(merged, trainers))
  const worst = (figures: readonly Figure[]): Figure => figures.reduce((a, b) => b.median > a.median ? b : a)
  const memoryRatio = (trainers: number): number => (peaks.get(nameOf(true, trainers)) ?? NaN) / (peaks.get(nameOf(true, 1)) ?? NaN)
  const merging = (trainers: number): Figure => figure([hosts.find(({ name }) => name === nameOf(true, trainers))?.merging ?? NaN])
  return {
    head: ['trainers', 'ms for all', 'times one', 'MB', 'ms to merge anew'],
    rows: hosts.map(({ name, merging }) => {
      const isMerged = name.startsWith('merged')
      const own = valuesOf(measured, name)
      return [name, readable(figure(own)), readable(ratio(own, times(isMerged, 1))), (peaks.get(name) ?? NaN).toFixed(0), merging?.toFixed(0) ?? '']
    }),
    figures: {
      mergedTimeRatio: worst(MERGED.slice(1).map(trainers => ratio(times(true, trainers), times(true, 1)))),
      mergedMemoryRatio: worst(MERGED.slice(1).map(trainers => figure([memoryRatio(trainers)]))),
      unmergedRatio: ratio(times(false, Math.max(...UNMERGED)), times(false, 1)),
      mergeOneMs: merging(1),
      mergeAllMs: merging(ROWS)
    }
  }
}
