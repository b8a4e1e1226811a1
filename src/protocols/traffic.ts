import type { PeerId } from '@libp2p/interface'

export type Direction = 'sent' | 'received'

/** Is told of every message, as it is sent or received. Framing, encryption and gossip's copies are not counted. */
export interface ByteCounter {
  /**
   * @param kind what the bytes are for: `step`, `adaptation`, `contribution`, `advert`, or the label of a blob
   * @param peer to whom, or from whom
   */
  count (kind: string, direction: Direction, bytes: number, peer: PeerId): void
}

/** Bytes by what they are counted under, and direction: by kind, or by peer. */
export type TrafficReport = Record<string, Record<Direction, number>>

/** Peers that are told apart, those that were counted last. Peers cost nothing to make up. */
const MAX_PEERS = 256

/** Adds up what it is told. */
export class Traffic implements ByteCounter {
  readonly #kinds = new Map<string, Record<Direction, number>>()
  /** In the order of when something was counted last. */
  readonly #peers = new Map<string, Record<Direction, number>>()
  readonly #others: Record<Direction, number> = { sent: 0, received: 0 }

  count (kind: string, direction: Direction, bytes: number, peer: PeerId): void {
    add(this.#kinds, kind, direction, bytes)
    const counted = this.#peers.get(peer.toString())
    this.#peers.delete(peer.toString())
    this.#peers.set(peer.toString(), counted ?? { sent: 0, received: 0 })
    add(this.#peers, peer.toString(), direction, bytes)
    if (this.#peers.size > MAX_PEERS) this.#forgetOldest()
  }

  /** By kind, in alphabetical order. */
  report (): TrafficReport {
    return inOrder(this.#kinds)
  }

  /** By peer, in alphabetical order, and last what peers of long ago sum up to, as `others`. */
  byPeer (): TrafficReport {
    const { sent, received } = this.#others
    return { ...inOrder(this.#peers), ...(sent + received > 0 && { others: { sent, received } }) }
  }

  #forgetOldest (): void {
    const [[peer, { sent, received }]] = this.#peers
    this.#peers.delete(peer)
    this.#others.sent += sent
    this.#others.received += received
  }
}

function add (counted: Map<string, Record<Direction, number>>, name: string, direction: Direction, bytes: number): void {
  const so = counted.get(name) ?? { sent: 0, received: 0 }
  so[direction] += bytes
  counted.set(name, so)
}

function inOrder (counted: Map<string, Record<Direction, number>>): TrafficReport {
  return Object.fromEntries([...counted].sort(([a], [b]) => a < b ? -1 : 1).map(([name, bytes]) => [name, { ...bytes }]))
}
