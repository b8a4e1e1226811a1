import { type Accounts, NO_JOB, OTHERS, type TrafficReport } from '../protocols/traffic.js'
import { readableBytes } from './table.js'

/** Told apart in a line, those with the most bytes; the rest of them is summed up. */
const MAX_PARTS = 8

/** Digits of a job's id that are shown. */
const ID_DIGITS = 8

/** Letters of a job's name that are shown: it may have 200. */
const NAME_LETTERS = 40

/** What its users call a job, where that is known. */
export type NameOf = (job: string) => string | undefined

/**
 * For people, of what there is most first:
 * ```
 * wire: 1.2 MB sent, 30.4 MB received: adaptation 30.1 MB, step 1.5 MB
 *   by job: our-docs (3f2a9c41) 31.5 MB, no job 0.1 MB
 *   by peer: 12D3KooW… 31.6 MB
 * ```
 */
export function trafficLines ({ bytes, bytesByJob, bytesByPeer }: Accounts, nameOf: NameOf): string {
  const all = Object.values(bytes)
  const [sent, received] = [sum(all.map(({ sent }) => sent)), sum(all.map(({ received }) => received))]
  const total = `wire: ${readableBytes(sent)} sent, ${readableBytes(received)} received`
  if (all.length === 0) return total
  return [`${total}: ${shares(bytes)}`, `  by job: ${sharesOfJobs(bytesByJob, nameOf)}`, `  by peer: ${shares(bytesByPeer)}`].join('\n')
}

/** For people: `our-docs (3f2a9c41) 31.5 MB, no job 0.1 MB`. */
export function sharesOfJobs (bytesByJob: TrafficReport, nameOf: NameOf): string {
  return shares(bytesByJob, job => {
    if (job === NO_JOB) return 'no job'
    const [id, name] = [job.slice(0, ID_DIGITS), nameOf(job)]
    return name === undefined ? id : `${printable(name)} (${id})`
  })
}

function shares (report: TrafficReport, called = (name: string): string => name): string {
  const parts = Object.entries(report).map(([name, { sent, received }]) => ({ name, both: sent + received })).toSorted((a, b) => b.both - a.both)
  const apart = parts.filter(({ name }) => name !== OTHERS).slice(0, MAX_PARTS)
  const rest = sum(parts.filter(part => !apart.includes(part)).map(({ both }) => both))
  return [...apart.map(({ name, both }) => `${called(name)} ${readableBytes(both)}`), ...rest > 0 ? [`${OTHERS} ${readableBytes(rest)}`] : []].join(', ')
}

/** Peers choose the names of jobs, and could put into them what moves a terminal's cursor. */
function printable (name: string): string {
  return Array.from(name.replace(/\p{C}/gu, '\ufffd')).slice(0, NAME_LETTERS).join('')
}

function sum (values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
