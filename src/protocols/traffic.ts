import type { PeerId } from '@libp2p/interface'

export type Direction = 'sent' | 'received'

/** What bytes are counted under. */
export interface Label {
  /** What they are for: `step`, `adaptation`, `contribution`, `advert`, or the label of a blob. */
  readonly kind: string
  /** Id of the job that they are of. @default none: adverts, checkups and the files of a model are of no job */
  readonly job?: string | undefined
}

/** A message, as it was sent or received. */
export interface Counted extends Label {
  readonly direction: Direction
  readonly bytes: number
  /** To whom, or from whom. */
  readonly peer: PeerId
}

/** Is told of every message. Framing, encryption and gossip's copies are not counted. */
export interface ByteCounter {
  count (counted: Counted): void
}

/** Bytes by what they are counted under, and direction: by kind, by job or by peer. */
export type TrafficReport = Record<string, Record<Direction, number>>

/** The same bytes three times, each of which adds up to all that was counted. */
export interface Accounts {
  /** By what they were for. */
  readonly bytes: TrafficReport
  /** By the ids of the jobs that they were of; those of none as `none`. */
  readonly bytesByJob: TrafficReport
  /** By whom they went to or came from. */
  readonly bytesByPeer: TrafficReport
}

/** Under which is counted what is of no job. Ids of jobs are longer. */
export const NO_JOB = 'none'

/** Under which is summed up what is told apart no more. */
export const OTHERS = 'others'

/** Peers and jobs that are told apart, those that were counted last. Both cost nothing to make up. */
const MAX_NAMES = 256

/** Adds up what it is told. */
export class Traffic implements ByteCounter {
  readonly #kinds = new Sums()
  readonly #jobs = new Sums()
  readonly #peers = new Sums()

  count ({ kind, job = NO_JOB, direction, bytes, peer }: Counted): void {
    this.#kinds.add(kind, direction, bytes)
    this.#jobs.add(job, direction, bytes)
    this.#peers.add(peer.toString(), direction, bytes)
  }

  /** By kind, in alphabetical order. */
  report (): TrafficReport {
    return this.#kinds.report()
  }

  /** By the id of the job, in alphabetical order, what is of no job as `none`, and last what jobs of long ago sum up to, as `others`. */
  byJob (): TrafficReport {
    return this.#jobs.report()
  }

  /** By peer, in alphabetical order, and last what peers of long ago sum up to, as `others`. */
  byPeer (): TrafficReport {
    return this.#peers.report()
  }

  /** All of it, as reports have it. */
  accounts (): Accounts {
    return { bytes: this.report(), bytesByJob: this.byJob(), bytesByPeer: this.byPeer() }
  }
}

/** Bytes by name and direction. */
class Sums {
  /** In the order of when something was added last. */
  readonly #named = new Map<string, Record<Direction, number>>()
  readonly #others: Record<Direction, number> = { sent: 0, received: 0 }

  add (name: string, direction: Direction, bytes: number): void {
    const sum = this.#named.get(name) ?? { sent: 0, received: 0 }
    sum[direction] += bytes
    this.#named.delete(name)
    this.#named.set(name, sum)
    if (this.#named.size > MAX_NAMES) this.#forgetOldest()
  }

  report (): TrafficReport {
    const { sent, received } = this.#others
    const named = [...this.#named].sort(([a], [b]) => a < b ? -1 : 1).map(([name, sum]) => [name, { ...sum }] as const)
    return { ...Object.fromEntries(named), ...(sent + received > 0 && { [OTHERS]: { sent, received } }) }
  }

  #forgetOldest (): void {
    const [[name, { sent, received }]] = this.#named
    this.#named.delete(name)
    this.#others.sent += sent
    this.#others.received += received
  }
}
