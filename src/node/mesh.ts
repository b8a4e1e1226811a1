import './promise-with-resolvers.js'
import { setTimeout as delay } from 'node:timers/promises'
import { type GossipSub, gossipsub } from '@chainsafe/libp2p-gossipsub'
import { autoNAT } from '@libp2p/autonat'
import { circuitRelayServer, type CircuitRelayService, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { type Identify, identify } from '@libp2p/identify'
import type { Connection, Libp2p, PeerId, PrivateKey } from '@libp2p/interface'
import { kadDHT, type KadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { type Ping, ping } from '@libp2p/ping'
import { isLoopback } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { InvalidOptionError } from '../errors.js'
import type { Bans } from '../protocols/bans.js'
import { describeDialError } from '../protocols/dial-error.js'
import { pauseAfter } from '../protocols/pauses.js'
import { VERSION } from '../version.js'
import { localDiscovery } from './local-discovery.js'
import { onlyDirect } from './relaying/direct.js'
import { holePunching } from './relaying/hole-punching.js'
import { nearestFirst } from './relaying/nearest-first.js'
import { punchingTcp } from './relaying/punching-tcp.js'
import { type Slots, slots } from './relaying/slots.js'

export const DHT_PROTOCOL = '/colanet/kad/1.0.0'
const MDNS_SERVICE = '_colanet._udp.local'

/** What peers are told that this node is, before its version. */
export const AGENT = 'colanet'

/** A long fat link is filled: 155 MB/s at a round trip of 50 ms, against 60 with 4 MiB. In bytes. */
const STREAM_WINDOW = 16 << 20

/** libp2p aborts a paused stream whose unread bytes outgrow this, so it is more than the window. In bytes. */
const READ_BUFFER = 2 * STREAM_WINDOW

/** Many nodes may be behind one address, and all connect when a host comes back. Connections a second. */
const INBOUND_THRESHOLD = 100

/** The longest frame of gossip that is decoded, in bytes: one message is 64 KiB, but peers that were asked send many in one. */
const MAX_GOSSIP_FRAME = 4 << 20

/** Gossip that may wait to be sent to a peer, in bytes: one that reads nothing has its stream cut off then, and memory does not grow. */
const MAX_GOSSIP_WAITING = 4 * MAX_GOSSIP_FRAME

/** A node may compute on its main thread for seconds and answer nothing meanwhile. In milliseconds. */
const BUSY_TIMEOUT = 30_000

/** How often connections are tried, and how long one may answer nothing, in milliseconds. */
const PING_INTERVAL = 15_000
const PING_TIMEOUT = 60_000

/** With so many connections no more are opened only because a peer was discovered. */
const ENOUGH_PEERS = 32

/** Between dials of a bootstrap peer that is not connected, in milliseconds. */
const REDIAL_PAUSES = { first: 1_000, longest: 30_000 }

/** How often it is looked whether bootstrap peers are connected, in milliseconds. */
const LOOK_INTERVAL = 1_000

export interface MeshInit {
  readonly identity: PrivateKey
  /** Multiaddrs. @default ['/ip4/0.0.0.0/tcp/0'] */
  readonly listen?: readonly string[]
  /** Multiaddrs of peers to which to be connected, and connected again. @default [] */
  readonly bootstrap?: readonly string[]
  /** Whether to look for peers on the local network, unless it listens on loopback only. @default true */
  readonly mdns?: boolean
  /** The folder through which nodes of one user on one machine find each other; false for not. @default one per user, see `localDiscovery` */
  readonly localFolder?: string | false
  /** Whom it does not talk to. @default nobody */
  readonly bans?: Pick<Bans, 'gater'>
  /** Connections above which those of least use are closed. @default 300 */
  readonly maxConnections?: number
  /** Multiaddrs at which others reach it that it does not see itself: of a router that forwards a port to it. @default [] */
  readonly announce?: readonly string[]
  /** Whether it passes connections on to nodes that are not reached otherwise, and how much. @default it does not */
  readonly relay?: RelayLimits
  /** Is told once of each bootstrap peer that does not answer, and when it does. @default nobody is */
  readonly log?: (line: string) => void
}

interface RelayLimits {
  /** Nodes that others may reach through it. */
  readonly reservations: number
  /** Bytes that pass through one connection. */
  readonly bytes: number
  /** How long one connection lasts, in milliseconds. */
  readonly duration: number
}

/** Its streams are over direct connections only, see `onlyDirect`. */
export type Mesh = Libp2p<{
  identify: Identify
  ping: Ping
  dht: KadDHT
  pubsub: GossipSub
  autoNAT: unknown
  holePunching: unknown
  slots: Slots
  relay?: CircuitRelayService
}>

/**
 * A running node of the mesh.
 *
 * @throws {InvalidOptionError} if an address is not a multiaddr
 */
export async function createMesh (init: MeshInit): Promise<Mesh> {
  const listen = (init.listen ?? ['/ip4/0.0.0.0/tcp/0']).map(parse)
  const bootstrap = (init.bootstrap ?? []).map(parse)
  const announce = (init.announce ?? []).map(parse)
  const { identity, mdns: multicast = true, localFolder, bans, maxConnections = 300, relay, log = () => {} } = init

  const node = await createLibp2p({
    privateKey: identity,
    nodeInfo: { name: AGENT, version: VERSION },
    addresses: { listen: listen.map(String), appendAnnounce: announce.map(String) },
    transports: [punchingTcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: STREAM_WINDOW, maxReadBufferLength: READ_BUFFER } })],
    peerDiscovery: [
      ...(multicast && (listen.length === 0 || !listen.every(isLoopback)) ? [mdns({ serviceTag: MDNS_SERVICE })] : []),
      ...(localFolder === false ? [] : [localDiscovery(localFolder === undefined ? {} : { folder: localFolder })])
    ],
    ...(bans && { connectionGater: bans.gater() }),
    connectionManager: {
      maxConnections,
      addressSorter: nearestFirst,
      inboundConnectionThreshold: INBOUND_THRESHOLD,
      maxIncomingPendingConnections: INBOUND_THRESHOLD,
      inboundUpgradeTimeout: BUSY_TIMEOUT,
      inboundStreamProtocolNegotiationTimeout: BUSY_TIMEOUT,
      outboundStreamProtocolNegotiationTimeout: BUSY_TIMEOUT,
      dialTimeout: BUSY_TIMEOUT
    },
    connectionMonitor: { pingInterval: PING_INTERVAL, pingTimeout: { minTimeout: PING_TIMEOUT, maxTimeout: 2 * PING_TIMEOUT } },
    services: {
      identify: identify(),
      ping: ping(),
      autoNAT: autoNAT(),
      holePunching: holePunching(),
      slots: slots(),
      ...(relay && { relay: relayServer(relay) }),
      dht: kadDHT({ protocol: DHT_PROTOCOL, clientMode: false, peerInfoMapper: passthroughMapper }),
      pubsub: gossipsub({
        globalSignaturePolicy: 'StrictSign',
        allowPublishToZeroTopicPeers: true,
        maxInboundDataLength: MAX_GOSSIP_FRAME,
        maxOutboundBufferSize: MAX_GOSSIP_WAITING,
        scoreParams: {
          IPColocationFactorWeight: 0, // several nodes share an address
          behaviourPenaltyWeight: -1, // a busy node is late, not bad
          behaviourPenaltyThreshold: 6
        }
      })
    }
  })
  node.dialProtocol = onlyDirect(node)
  dialDiscovered(node)
  stayConnected(node, bootstrap, log)
  return node
}

function relayServer ({ reservations, bytes, duration }: RelayLimits): ReturnType<typeof circuitRelayServer> {
  return circuitRelayServer({ reservations: { maxReservations: reservations, defaultDataLimit: BigInt(bytes), defaultDurationLimit: duration } })
}

function parse (address: string): Multiaddr {
  try {
    return multiaddr(address)
  } catch (cause) {
    throw new InvalidOptionError(`${address} is not a multiaddr, such as /ip4/192.168.1.2/tcp/4001/p2p/12D3KooW…`, { cause })
  }
}

/**
 * libp2p only remembers whom it discovers. A peer without addresses is one that has just connected to us: to dial it
 * would look it up in the DHT, and every other dial to it would wait for that.
 */
function dialDiscovered (node: Mesh): void {
  node.addEventListener('peer:discovery', ({ detail: { id, multiaddrs } }) => {
    if (multiaddrs.length === 0 || node.getConnections(id).length > 0 || node.getPeers().length >= ENOUGH_PEERS) return
    dial(node, id).catch(logged(node))
  })
}

/** Each peer is told of once until it answers, however many addresses it has. */
function stayConnected (node: Mesh, addresses: readonly Multiaddr[], log: (line: string) => void): void {
  const [stopped, silent] = [new AbortController(), new Set<string>()]
  node.addEventListener('stop', () => stopped.abort(), { once: true })
  for (const address of addresses) {
    const name = peerOf(address) ?? address.toString()
    if (name === node.peerId.toString()) continue
    const onFailure = (error: unknown): void => {
      if (silent.has(name) || node.getPeers().some(peer => peer.toString() === name)) return
      silent.add(name)
      log(`${address.toString()} does not answer (${describeDialError(error)}) and is tried until it does; see that a node runs there, or what colanet doctor --bootstrap says of it`)
    }
    const onAnswer = (): void => {
      if (silent.delete(name)) log(`${address.toString()} answers now`)
    }
    keepConnected(node, address, { onFailure, onAnswer }, stopped.signal).catch(logged(node)) // it ends with the node
  }
}

interface Watcher {
  readonly onFailure: (error: unknown) => void
  readonly onAnswer: () => void
}

async function keepConnected (node: Mesh, address: Multiaddr, { onFailure, onAnswer }: Watcher, signal: AbortSignal): Promise<void> {
  let failures = 0
  for (;;) {
    try {
      const connection = await dial(node, address)
      failures = 0
      onAnswer()
      while (connection.status === 'open') await delay(LOOK_INTERVAL, undefined, { signal })
    } catch (error) {
      signal.throwIfAborted()
      failures++
      onFailure(error)
      logged(node)(error)
    }
    await delay(pauseAfter(Math.max(1, failures), REDIAL_PAUSES), undefined, { signal })
  }
}

function peerOf (address: Multiaddr): string | undefined {
  return address.getComponents().findLast(({ name }) => name === 'p2p')?.value
}

async function dial (node: Mesh, target: PeerId | Multiaddr): Promise<Connection> {
  return await node.dial(target, { signal: AbortSignal.timeout(BUSY_TIMEOUT) })
}

function logged (node: Mesh): (error: unknown) => void {
  return error => node.logger.forComponent('colanet:mesh')('%s', error)
}
