import type { PeerId } from '@libp2p/interface'
import type { BreachListener } from './bans.js'

/** Seconds whose share may be used at once: work comes in bursts. */
const BURST = 10

/** Seconds whose share is refused in all before that is a breach: three in a minute are four times what is allowed. */
const TOLERATED = 60

/** Peers of which it is remembered what they did; who did nothing for longest leaves first. Peers cost nothing to make up. */
const MAX_PEERS = 4096

export interface RateLimitInit {
  readonly perSecond: number
  /** What is counted, for people, in the plural. */
  readonly what: string
  readonly breaches: BreachListener | undefined
  /** In milliseconds. @default performance.now */
  readonly now?: () => number
}

/** What a peer has left, and what it was refused since it last kept within the limit. */
interface Account {
  readonly left: number
  readonly at: number
  readonly refused: number
}

/** So much a second for each peer (a token bucket). Who goes on far beyond that breaches it. */
export class RateLimit {
  readonly #init: RateLimitInit
  readonly #now: () => number
  /** In the order of use. */
  readonly #accounts = new Map<string, Account>()

  constructor (init: RateLimitInit) {
    this.#init = init
    this.#now = init.now ?? (() => performance.now())
  }

  /** Whether the peer may do so much more now. */
  take (peer: PeerId, amount = 1): boolean {
    const { perSecond } = this.#init
    const { left, refused } = this.#accountOf(peer)
    if (left >= amount) {
      this.#put(peer, left - amount, refused)
      return true
    }
    const total = refused + amount
    const isBreach = total >= TOLERATED * perSecond
    this.#put(peer, left, isBreach ? 0 : total)
    if (isBreach) this.#init.breaches?.breach(peer, `flooding: far more than ${perSecond} ${this.#init.what} a second`)
    return false
  }

  #accountOf (peer: PeerId): Account {
    const { perSecond } = this.#init
    const most = BURST * perSecond
    const now = this.#now()
    const { left, at, refused } = this.#accounts.get(peer.toString()) ?? { left: most, at: now, refused: 0 }
    const filled = Math.min(most, left + perSecond * (now - at) / 1000)
    return { left: filled, at: now, refused: filled === most ? 0 : refused }
  }

  #put (peer: PeerId, left: number, refused: number): void {
    const id = peer.toString()
    this.#accounts.delete(id)
    this.#accounts.set(id, { left, at: this.#now(), refused })
    if (this.#accounts.size > MAX_PEERS) this.#accounts.delete(this.#accounts.keys().next().value ?? '')
  }
}
