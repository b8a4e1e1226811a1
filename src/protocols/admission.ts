import type { PeerId } from '@libp2p/interface'
import type { BreachListener } from './bans.js'
import { RateLimit } from './rate-limit.js'

export interface AdmissionInit {
  /** Exchanges of a peer at the same time, over all of its connections: libp2p counts those of one. */
  readonly maxStreams: number
  /** Exchanges of a peer in a second, and ten times as many at once. */
  readonly perSecond: number
  /** What they are, for people. */
  readonly kind: string
  readonly breaches: BreachListener | undefined
}

/** How many exchanges each peer may have of a protocol. */
export class Admission {
  readonly #maxStreams: number
  readonly #rate: RateLimit
  /** Exchanges under way. */
  readonly #open = new Map<string, number>()

  constructor ({ maxStreams, perSecond, kind, breaches }: AdmissionInit) {
    this.#maxStreams = maxStreams
    this.#rate = new RateLimit({ perSecond, what: `exchanges of ${kind}`, breaches })
  }

  /** Whether one more may begin, which is to be left when it has ended. */
  enter (peer: PeerId): boolean {
    const id = peer.toString()
    const open = this.#open.get(id) ?? 0
    if (!this.#rate.take(peer) || open >= this.#maxStreams) return false
    this.#open.set(id, open + 1)
    return true
  }

  leave (peer: PeerId): void {
    const id = peer.toString()
    const open = this.#open.get(id) ?? 0
    if (open > 1) this.#open.set(id, open - 1)
    else this.#open.delete(id)
  }
}
