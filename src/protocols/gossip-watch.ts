import type { GossipSub } from '@chainsafe/libp2p-gossipsub'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { BreachListener } from './bans.js'
import { RateLimit } from './rate-limit.js'

/**
 * Times that a peer may send a message again which this one has: once as a member of the mesh, and as often as it is asked for it,
 * which gossipsub limits to three.
 */
const MAX_REPEATS = 16

/** How long repetitions are remembered, in milliseconds. */
const REMEMBERED = 60_000

/** Messages of which they are counted, by sender; the oldest leave first. */
const MAX_COUNTED = 16_384

/** A frame of gossip, as far as it is looked at here. */
interface Rpc {
  readonly messages: readonly unknown[]
}

/** Parts of gossipsub that its types leave out: where frames come in, and where it keeps score of what it did not take. */
interface Inside {
  handleReceivedRpc (from: PeerId, rpc: Rpc): Promise<void>
  readonly score: {
    rejectInvalidMessage (from: string, topic: string): void
    duplicateMessage (from: string, id: string, topic: string): void
  }
}

export interface GossipWatchInit {
  readonly breaches: BreachListener
  /** Messages of a peer in a second, and ten times as many at once; what is more is dropped before its signature is looked at. */
  readonly messages: number
}

/**
 * Has gossipsub tell of what it drops by itself, before a topic's validator hears of it: messages that their writers did not sign,
 * the same message over and over, and more than a peer may send.
 */
export function watchGossip (pubsub: GossipSub, { breaches, messages }: GossipWatchInit): void {
  const inside = pubsub as unknown as Inside
  const limit = new RateLimit({ perSecond: messages, what: 'messages of gossip', breaches })
  const receive = inside.handleReceivedRpc.bind(inside)
  inside.handleReceivedRpc = async (from, rpc) => {
    await receive(from, limit.take(from, Math.max(1, rpc.messages.length)) ? rpc : { ...rpc, messages: [] })
  }

  const { score } = inside
  const reject = score.rejectInvalidMessage.bind(score)
  score.rejectInvalidMessage = (from, topic) => {
    reject(from, topic)
    breaches.breach(peerIdFromString(from), 'gossip: a message that its writer did not sign')
  }

  const repeats = new Repeats()
  const countDuplicate = score.duplicateMessage.bind(score)
  score.duplicateMessage = (from, id, topic) => {
    countDuplicate(from, id, topic)
    if (repeats.count(`${from} ${id}`) > MAX_REPEATS) breaches.breach(peerIdFromString(from), `gossip: one message more than ${MAX_REPEATS} times`)
  }
}

/** How often the same has come lately. */
class Repeats {
  readonly #counts = new Map<string, { readonly count: number, readonly since: number }>()

  count (key: string): number {
    const now = performance.now()
    const known = this.#counts.get(key)
    const { count, since } = known === undefined || now - known.since > REMEMBERED ? { count: 0, since: now } : known
    this.#counts.delete(key)
    this.#counts.set(key, { count: count + 1, since })
    if (this.#counts.size > MAX_COUNTED) this.#counts.delete(this.#counts.keys().next().value ?? '')
    return count + 1
  }
}
