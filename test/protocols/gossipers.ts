import '../../src/node/promise-with-resolvers.js'
import { type GossipSub, gossipsub } from '@chainsafe/libp2p-gossipsub'
import { type Identify, identify } from '@libp2p/identify'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import { pEvent } from 'p-event'
import { LOOPBACK, soon } from './nodes.js'

export type Gossiper = Libp2p<{ identify: Identify, pubsub: GossipSub }>

/** Nodes that only gossip: unlike those of a mesh they stay connected to those alone to whom they were. */
export class Gossipers {
  readonly #all: Gossiper[] = []

  async add (neighbours: readonly Gossiper[] = [], globalSignaturePolicy: 'StrictSign' | 'StrictNoSign' = 'StrictSign'): Promise<Gossiper> {
    const node = await createLibp2p({
      addresses: { listen: LOOPBACK },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify(), pubsub: gossipsub({ allowPublishToZeroTopicPeers: true, globalSignaturePolicy }) }
    })
    this.#all.push(node)
    for (const neighbour of neighbours) await node.dial(neighbour.getMultiaddrs())
    return node
  }

  async stop (): Promise<void> {
    await Promise.all(this.#all.splice(0).map(async node => { await node.stop() }))
  }
}

/** Parts of gossipsub that its types leave out. */
interface Inside {
  readonly mesh: Map<string, Set<string>>
  readonly streamsOutbound: Map<string, unknown>
  getScore (peer: string): number
}

/** Waits until what a node publishes on a topic goes to a peer: it listens, and gossipsub has a stream to it. */
export async function listening (pubsub: GossipSub, topic: string, peer: PeerId): Promise<void> {
  while (!pubsub.getSubscribers(topic).some(subscriber => subscriber.equals(peer))) await pEvent(pubsub, 'subscription-change', { signal: soon() })
  while (!inside(pubsub).streamsOutbound.has(peer.toString())) await pEvent(pubsub, 'gossipsub:heartbeat', { signal: soon() })
}

/** Waits until what a node hears on a topic is passed on to a peer. */
export async function relaying (pubsub: GossipSub, topic: string, peer: PeerId): Promise<void> {
  while (inside(pubsub).mesh.get(topic)?.has(peer.toString()) !== true) await pEvent(pubsub, 'gossipsub:heartbeat', { signal: soon() })
}

/** What one makes of another's conduct; below -80 it is not listened to. */
export function scoreOf (pubsub: GossipSub, peer: PeerId): number {
  return inside(pubsub).getScore(peer.toString())
}

function inside (pubsub: GossipSub): GossipSub & Inside {
  return pubsub as GossipSub & Inside
}
