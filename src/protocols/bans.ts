import { type ConnectionGater, type PeerId, TypedEventEmitter } from '@libp2p/interface'

/** Breaches within the time that follows for which a peer is banned: one alone may be a damaged disk, or a bug of ours. */
const BREACHES = 3

/** How long a breach is remembered, in milliseconds. */
const REMEMBERED = 60_000

/** How long a ban lasts, in milliseconds. */
const BAN = 10 * 60_000

/** Peers of which breaches and bans are remembered; the oldest leave first. Peers cost nothing to make up. */
const MAX_PEERS = 4096

/** Is told of what no honest peer does, whatever its version and however busy it is. */
export interface BreachListener {
  /** @param what it did, for people */
  breach (peer: PeerId, what: string): void
}

export interface Ban {
  readonly peer: PeerId
  /** What it did last. */
  readonly reason: string
  /** In milliseconds since 1970. */
  readonly until: number
}

export interface BansEvents {
  ban: CustomEvent<Ban>
}

/** Peers that are not talked to for a while, each with the reason. */
export class Bans extends TypedEventEmitter<BansEvents> implements BreachListener {
  readonly #now: () => number
  /** When each peer's latest breaches were. */
  readonly #breaches = new Map<string, readonly number[]>()
  readonly #bans = new Map<string, Ban>()

  /** @param now in milliseconds since 1970 */
  constructor (now: () => number = Date.now) {
    super()
    this.#now = now
  }

  breach (peer: PeerId, what: string): void {
    if (this.has(peer)) return
    const [id, now] = [peer.toString(), this.#now()]
    const breaches = [...this.#breaches.get(id) ?? [], now].filter(at => now - at < REMEMBERED)
    putLast(this.#breaches, id, breaches)
    if (breaches.length < BREACHES) return
    this.#breaches.delete(id)
    const ban = { peer, reason: what, until: now + BAN }
    putLast(this.#bans, id, ban)
    this.safeDispatchEvent('ban', { detail: ban })
  }

  has (peer: PeerId): boolean {
    const { until = 0 } = this.#bans.get(peer.toString()) ?? {}
    return until > this.#now()
  }

  /** Those that last, oldest first. */
  list (): Ban[] {
    return [...this.#bans.values()].filter(({ peer }) => this.has(peer))
  }

  /** Has libp2p neither dial nor let in who is banned. */
  gater (): Pick<ConnectionGater, 'denyDialPeer' | 'denyInboundEncryptedConnection' | 'denyOutboundEncryptedConnection'> {
    const isBanned = (peer: PeerId): boolean => this.has(peer)
    return { denyDialPeer: isBanned, denyInboundEncryptedConnection: isBanned, denyOutboundEncryptedConnection: isBanned }
  }
}

function putLast<T> (map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > MAX_PEERS) map.delete(map.keys().next().value ?? '')
}
