import type { TrafficReport } from '../protocols/traffic.js'
import { readableBytes } from './table.js'

/** For people: `1.2 MB sent, 30.4 MB received: adaptation 30.1 MB, step 1.5 MB`, what most bytes were for first. */
export function trafficLine (bytes: TrafficReport): string {
  const kinds = Object.entries(bytes).map(([kind, { sent, received }]) => ({ kind, sent, received, both: sent + received }))
  const total = (of: (kind: typeof kinds[number]) => number): string => readableBytes(kinds.reduce((sum, kind) => sum + of(kind), 0))
  const parts = kinds.toSorted((a, b) => b.both - a.both).map(({ kind, both }) => `${kind} ${readableBytes(both)}`)
  return `${total(({ sent }) => sent)} sent, ${total(({ received }) => received)} received${parts.length === 0 ? '' : `: ${parts.join(', ')}`}`
}
