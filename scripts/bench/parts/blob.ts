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
    const holder = await LineChild.fromSources(HOLDER, [join(folder, 'holder')], signal)
    let puller: LineChild | undefined
    try {
      const { address, port, tlsPort } = holder.greeting as { address: string, port: number, tlsPort: number }
      puller = await LineChild.fromSources(PULLER, [join(folder, 'puller'), address], signal)
      const idle = await Promise.all([holder, puller].map(idleOf))
      const peaks = [new PeakMemory(holder.pid), new PeakMemory(puller.pid)]
      const manifest = await holder.ask(String(size * MB)) as string
      const pull = async (request: Omit<PullRequest, 'manifest'>): Promise<number> => {
        const { milliseconds } = await puller?.ask(JSON.stringify({ manifest, ...request })) as { milliseconds: number }
        return milliseconds
      }
      log(`${total} MB pass while memory is watched`)
      await pull({ times: Math.ceil(total / size) })
      const above = await Promise.all(peaks.map(async (peak, i) => await peak.stop() - idle[i]))
      const measured = await interleaved([
        { name: BLOB, run: async () => await pull({ times: 1 }) },
        { name: TCP, run: async () => await pull({ times: 1, over: { port, tls: false } }) },
        { name: TLS, run: async () => await pull({ times: 1, over: { port: tlsPort, tls: true } }) }
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
      await puller?.stop()
      await holder.stop()
    }
  }
})

/** What a process has while it does nothing, in MB. */
async function idleOf (child: LineChild): Promise<number> {
  const memory = new PeakMemory(child.pid)
  await new Promise(resolve => setTimeout(resolve, IDLE))
  return await memory.stop()
}
