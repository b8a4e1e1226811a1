import { join } from 'node:path'
import type { PullRequest } from '../blob-puller.js'
import { type Figure, figure, ratio, readable } from '../figure.js'
import { interleaved, valuesOf } from '../interleaved.js'
import { LineChild } from '../line-child.js'
import { definePart, runsOption } from '../part.js'
import { PeakMemory } from '../peak-memory.js'

const BLOB = 'blob'
const TCP = 'bare TCP'
const TLS = 'TLS, hashed'

const HOLDER = join(import.meta.dirname, '..', 'blob-holder.ts')
const PULLER = join(import.meta.dirname, '..', 'blob-puller.ts')

const MB = 1e6

/** How long memory is watched before it counts as idle, in milliseconds. */
const IDLE = 500

/**
 * What it takes to bring a blob from one process to another over loopback, encrypted, multiplexed and each chunk checked, beside the
 * same bytes over a bare TCP connection, and over one with TLS of which each chunk is hashed, which is what the same guarantees cost
 * without libp2p. Memory is that of each side above what it has when it is connected and does nothing: the
 * holder's has the blob in it, the puller's the place that it goes to; then so many megabytes in all pass, one blob after the other.
 */
export const blob = definePart({
  name: 'blob',
  describe: 'time of a blob between two processes, of bare TCP, and of TLS; memory of both',
  options: {
    runs: runsOption(9),
    size: { type: 'integer', min: 1, max: 512, default: 64, describe: 'of a blob, in MB' },
    total: { type: 'integer', min: 1, default: 1000, describe: 'that pass while memory is watched, in MB' }
  },
  measure: async ({ runs, size, total }, { folder, signal, log }) => {
    const watched = await Pair.start(join(folder, 'watched'), signal)
    let other: Pair | undefined
    try {
      const above = await watched.memoryOf(size, Math.ceil(total / size), () => log(`${total} MB pass while memory is watched`))
      other = await Pair.start(join(folder, 'other'), signal) // of its own, as what one leaves in memory slows the others down
      const measured = await interleaved([
        { name: BLOB, run: async () => await watched.pull(size, 'blob') },
        { name: TCP, run: async () => await watched.pull(size, 'tcp') },
        { name: TLS, run: async () => await other?.pull(size, 'tls') ?? NaN }
      ], { runs, signal, log, show: milliseconds => `${milliseconds.toFixed(0)} ms` })
      const [blobs, tcp, tls] = [BLOB, TCP, TLS].map(name => valuesOf(measured, name))
      const rate = (milliseconds: readonly number[]): Figure => figure(milliseconds.map(own => size / own * 1000))
      const [ratioToTcp, ratioToTls, peakMbAboveIdle] = [ratio(tcp, blobs), ratio(tls, blobs), figure([Math.max(...above)])]
      return {
        head: ['', 'MB/s', 'of bare TCP', 'of TLS, hashed'],
        rows: [
          [BLOB, readable(rate(blobs)), readable(ratioToTcp), readable(ratioToTls)],
          [TCP, readable(rate(tcp)), '', ''],
          [TLS, readable(rate(tls)), readable(ratio(tcp, tls)), ''],
          ['holder, MB above idle', above[0].toFixed(0), '', ''],
          ['puller, MB above idle', above[1].toFixed(0), '', '']
        ],
        figures: { ratioToTcp, ratioToTls, peakMbAboveIdle }
      }
    } finally {
      await other?.stop()
      await watched.stop()
    }
  }
})

/** A process that holds blobs, and one that pulls them. */
class Pair {
  readonly #holder: LineChild
  readonly #puller: LineChild
  readonly #ports: { readonly tcp: number, readonly tls: number }
  readonly #manifests = new Map<number, string>()

  private constructor (holder: LineChild, puller: LineChild, ports: { readonly tcp: number, readonly tls: number }) {
    this.#holder = holder
    this.#puller = puller
    this.#ports = ports
  }

  static async start (folder: string, signal: AbortSignal): Promise<Pair> {
    const holder = await LineChild.fromSources(HOLDER, [join(folder, 'holder')], signal)
    const { address, ...ports } = holder.greeting as { address: string, tcp: number, tls: number }
    try {
      return new Pair(holder, await LineChild.fromSources(PULLER, [join(folder, 'puller'), address], signal), ports)
    } catch (error) {
      await holder.stop()
      throw error
    }
  }

  async stop (): Promise<void> {
    await this.#puller.stop()
    await this.#holder.stop()
  }

  /** The most that each has above what it has while it does nothing, in MB, while a blob of so many megabytes passes so many times. */
  async memoryOf (size: number, times: number, onBegin: () => void): Promise<number[]> {
    const both = [this.#holder, this.#puller]
    const idle = await Promise.all(both.map(idleOf))
    const peaks = both.map(({ pid }) => new PeakMemory(pid))
    onBegin()
    await this.pull(size, 'blob', times)
    return await Promise.all(peaks.map(async (peak, i) => await peak.stop() - idle[i]))
  }

  /** @param size in MB @returns milliseconds */
  async pull (size: number, over: 'blob' | 'tcp' | 'tls', times = 1): Promise<number> {
    const manifest = this.#manifests.get(size) ?? await this.#holder.ask(String(size * MB)) as string
    this.#manifests.set(size, manifest)
    const request: PullRequest = { manifest, times, ...(over !== 'blob' && { over: { port: this.#ports[over], tls: over === 'tls' } }) }
    const { milliseconds } = await this.#puller.ask(JSON.stringify(request)) as { milliseconds: number }
    return milliseconds
  }
}

/** What a process has while it does nothing, in MB. */
async function idleOf (child: LineChild): Promise<number> {
  const memory = new PeakMemory(child.pid)
  await new Promise(resolve => setTimeout(resolve, IDLE))
  return await memory.stop()
}
