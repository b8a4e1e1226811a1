import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Host } from '../../../src/node/host/host.js'
import { lend } from '../../../src/node/host/lend.js'
import { ModelThread } from '../../../src/node/host/model-thread.js'
import { ColaNode } from '../../../src/node/node.js'
import { BUILT } from '../../../test/cli/run-cli.js'
import { Scene } from '../../../test/integration/scene.js'
import { OpenHost } from '../c-attn-job.js'
import { type Figure, figure, quantile, readable } from '../figure.js'
import { GatedModel } from '../gated-model.js'
import { modelFolder } from '../gpt2-small.js'
import { interleaved, valuesOf } from '../interleaved.js'
import { LineChild } from '../line-child.js'
import { definePart, type Measured, MODEL_OPTION, runsOption, THREADS_OPTION } from '../part.js'
import { randomBatch, writeBatch } from '../random-batch.js'

const ROWS = 4
const LENGTH = 128

/** How often the main thread is looked at, in milliseconds: what a delay is at least, as nothing is subtracted. */
const RESOLUTION = 1

const PINGER = join(import.meta.dirname, '..', 'pinger.ts')

/** More than are ever done: its trainer is stopped. */
const ENDLESS = 1_000_000

interface Window {
  /** Of the main thread's delays, in milliseconds. */
  readonly p99: number
  readonly max: number
  readonly pingP99: number
  readonly pings: number
  /** Of pings that were not answered. */
  readonly failures: readonly string[]
  readonly steps: number
}

/**
 * How long the main thread of a host makes others wait, while nothing happens, while the model's thread steps, and while
 * steps are lent to a trainer in another process, which pulls x and ∇ĥ. Another node pings all along. Each run of each is a
 * window of some seconds; its delays' 99th percentile is one value.
 */
export const loop = definePart({
  name: 'loop',
  describe: `delay of a host's main thread, and of pings to it, during steps of ${ROWS} x ${LENGTH} tokens`,
  options: {
    runs: runsOption(5),
    model: MODEL_OPTION,
    threads: THREADS_OPTION,
    window: { type: 'integer', min: 100, default: 5000, describe: 'how long each is watched, in milliseconds' }
  },
  measure: async ({ runs, model: asked, threads, window }, { folder, signal, log }) => {
    const cleanUps: Array<() => Promise<unknown>> = []
    try {
      const model = await modelFolder(asked, folder, log)
      const thread = await ModelThread.open({ folder: model, log, threads })
      cleanUps.push(async () => await thread.dispose())
      const node = await ColaNode.start({ folder: join(folder, 'node'), listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, localFolder: false })
      cleanUps.push(async () => await node.stop())
      const [address] = node.mesh.getMultiaddrs().map(String)
      const pinger = await LineChild.fromSources(PINGER, [join(folder, 'pinger'), address], signal)
      cleanUps.push(async () => await pinger.stop())

      const batch = randomBatch(ROWS, LENGTH, thread.info.vocabSize)
      const gated = new GatedModel(thread)
      cleanUps.push(await lend(node, { host: new Host({ model: gated, jobs: node.jobs }), folder: model }))
      const scene = await Scene.open(BUILT)
      cleanUps.push(async () => await scene.close())
      const file = join(folder, 'batch.safetensors')
      await writeBatch(file, batch)
      const trainer = scene.train('trainer', '--model', model, '--batch', file, '--steps', String(ENDLESS), '--bootstrap', address)
      const failed = trainer.ended.then(({ stderr }) => { throw new Error(`the trainer ended: ${stderr}`) })
      failed.catch(() => {}) // it is told to whoever waits
      await Promise.race([gated.reached(), failed])

      const host = await OpenHost.open(thread, 'alone')
      const pass = async (): Promise<void> => { await host.step(batch, signal) }
      const measured = await interleaved<Window>([
        { name: IDLE, run: async () => await watch(pinger, window, async () => await Promise.resolve(0)) },
        { name: STEPPING, run: async () => await watch(pinger, window, async isOver => await repeat(pass, isOver)) },
        {
          name: LENDING,
          run: async () => {
            const before = gated.passes
            gated.open()
            const watched = await watch(pinger, window, async () => await Promise.resolve(0))
            await Promise.race([gated.close(), failed])
            return { ...watched, steps: gated.passes - before }
          }
        }
      ], { runs, signal, log, leadIn: false, show: ({ p99, max, pingP99, steps, failures }) => [`p99 ${p99.toFixed(1)} ms`, `max ${max.toFixed(0)}`, `ping p99 ${pingP99.toFixed(1)}`, `${steps} steps`, ...failures].join(' ') })
      return result(measured)
    } finally {
      for (const cleanUp of cleanUps.reverse()) await cleanUp()
    }
  }
})

const IDLE = 'idle'
const STEPPING = 'stepping'
const LENDING = 'lending'

function result (measured: ReadonlyMap<string, readonly Window[]>): Measured {
  const of = (name: string, key: Exclude<keyof Window, 'failures'>): Figure => figure(valuesOf(measured, name).map(watched => watched[key]))
  const failed = (name: string): Figure => figure(valuesOf(measured, name).map(({ failures }) => failures.length))
  const columns = ['p99', 'max', 'pingP99', 'pings', 'steps'] as const
  return {
    head: ['', 'p99 ms', 'max ms', 'ping p99 ms', 'pings answered', 'steps', 'not answered'],
    rows: [IDLE, STEPPING, LENDING].map(name => [name, ...columns.map(key => readable(of(name, key))), readable(failed(name))]),
    figures: {
      p99Ms: of(STEPPING, 'p99'),
      pingP99Ms: of(STEPPING, 'pingP99'),
      pingsAnswered: of(STEPPING, 'pings'),
      pingsFailed: failed(STEPPING),
      maxMs: of(STEPPING, 'max'),
      idleP99Ms: of(IDLE, 'p99'),
      idlePingP99Ms: of(IDLE, 'pingP99'),
      lendingP99Ms: of(LENDING, 'p99'),
      lendingMaxMs: of(LENDING, 'max'),
      lendingPingP99Ms: of(LENDING, 'pingP99')
    }
  }
}

/** @param work until its argument says that it is over; it tells how many steps were done */
async function watch (pinger: LineChild, window: number, work: (isOver: () => boolean) => Promise<number>): Promise<Window> {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION })
  let over = false
  const working = work(() => over)
  delays.enable()
  const { roundTrips, failures } = await pinger.ask(String(window)) as { roundTrips: number[], failures: string[] }
  delays.disable()
  over = true
  const steps = await working
  return {
    p99: delays.percentile(99) / 1e6,
    max: delays.max / 1e6,
    pingP99: quantile(roundTrips.sort((a, b) => a - b), 0.99),
    pings: roundTrips.length,
    failures,
    steps
  }
}

async function repeat (step: () => Promise<void>, isOver: () => boolean): Promise<number> {
  let steps = 0
  while (!isOver()) {
    await step()
    steps++
  }
  return steps
}
