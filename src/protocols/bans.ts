import { type ConnectionGater, type PeerId, TypedEventEmitter } from '@libp2p/interface'

/** Breaches within the time that follows for which a peer is banned: one alone may be a damaged disk, or a bug of ours. */
const BREACHES = 3

/** How long a breach is remembered, in milliseconds. */
const REMEMBERED = 60_000

/** Exchanges that a peer lets stand still, one begun after the other was given up, for which it is banned: a link may be bad for a while. */
const STANDSTILLS = 6

/** Within what time they are, in milliseconds. */
const STANDSTILLS_REMEMBERED = 10 * 60_000

/** How long a ban lasts, in milliseconds. */
const BAN = 10 * 60_000

/** Peers of which breaches and bans are remembered; the oldest leave first. Peers cost nothing to make up. */
const MAX_PEERS = 4096

/** Is told of what no honest peer does, whatever its version and however busy it is. */
export interface BreachListener {
  /** @param what it did, for people */
  breach (peer: PeerId, what: string): void
}

export interface ConductListener extends BreachListener {
  /**
   * A peer has begun an exchange, and then neither sent nor read. That happens; one after the other is another thing.
   *
   * @param what it was, for people
   * @param began when the exchange did, in milliseconds since 1970
   */
  standstill (peer: PeerId, what: string, began: number): void
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
export class Bans extends TypedEventEmitter<BansEvents> implements ConductListener {
  readonly #now: () => number
  /** When each peer's latest breaches were. */
  readonly #breaches = new Map<string, readonly number[]>()
  /** When each peer's latest standstills ended; of those at the same time the first. */
  readonly #standstills = new Map<string, readonly number[]>()
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
    if (breaches.length >= BREACHES) this.#ban(peer, what)
  }

  /** Who is cut off, or asleep, lets all stand still at once, and begins nothing afterwards. */
  standstill (peer: PeerId, what: string, began: number): void {
    if (this.has(peer)) return
    const [id, now] = [peer.toString(), this.#now()]
    const known = this.#standstills.get(id) ?? []
    if (began <= (known.at(-1) ?? -Infinity)) return
    const standstills = [...known, now].filter(at => now - at < STANDSTILLS_REMEMBERED)
    putLast(this.#standstills, id, standstills)
    if (standstills.length >= STANDSTILLS) this.#ban(peer, what)
  }

  #ban (peer: PeerId, reason: string): void {
    const id = peer.toString()
    this.#breaches.delete(id)
    this.#standstills.delete(id)
    const ban = { peer, reason, until: this.#now() + BAN }
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
