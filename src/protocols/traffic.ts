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

/** Bytes by kind and direction. */
export type TrafficReport = Record<string, Record<Direction, number>>

/** Adds up what it is told. */
export class Traffic implements ByteCounter {
  readonly #bytes = new Map<string, Record<Direction, number>>()

  count (kind: string, direction: Direction, bytes: number): void {
    const counted = this.#bytes.get(kind) ?? { sent: 0, received: 0 }
    counted[direction] += bytes
    this.#bytes.set(kind, counted)
  }

  /** By kind, in alphabetical order. */
  report (): TrafficReport {
    return Object.fromEntries([...this.#bytes].sort(([a], [b]) => a < b ? -1 : 1).map(([kind, bytes]) => [kind, { ...bytes }]))
  }
}
