import { type Connection, isPeerId, type Libp2p, type PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import { pEvent } from 'p-event'
import { RelayedOnlyError } from '../../errors.js'
import { Deadline } from '../../protocols/deadline.js'
import { isPromising } from './nearest-first.js'
import { isRelayed } from './relayed.js'
import type { Slots } from './slots.js'

/** How long a connection through a relay has to become a direct one, in milliseconds: two attempts, and less than any exchange may take. */
const UPGRADE_TIMEOUT = 8_000

type DirectComponents = Pick<Libp2p, 'dial' | 'dialProtocol' | 'getConnections' | 'getMultiaddrs' | 'peerStore' | 'addEventListener' | 'removeEventListener'> & {
  readonly services: { readonly slots: Pick<Slots, 'waysTo'> }
}

/**
 * Has streams wait for a direct connection where there is one through a relay only: a relay passes on little, and no
 * protocol of ours is allowed there. A peer of whom nothing is known but addresses of another network is looked for at the
 * relays that this node is connected to. Of several direct connections the oldest is taken where this node has dialled it: libp2p takes the
 * newest, which may be there for what is large, see `BulkConnections`. A peer that has dialled this node again may have lost the first.
 *
 * @throws what `dialProtocol` throws, and RelayedOnlyError where no direct connection comes of it in time
 */
export function onlyDirect (node: DirectComponents): Libp2p['dialProtocol'] {
  const dialProtocol = node.dialProtocol.bind(node)
  return async (target, protocols, options) => {
    if (!isPeerId(target)) return await dialProtocol(target, protocols, options)
    const oldest = node.getConnections(target).find(isDirect)
    if (oldest?.direction === 'outbound') return await oldest.newStream(protocols, options)
    const signal = options?.signal ?? undefined
    if (await isFoundAtRelay(node, target, signal)) await untilDirect(node, target, signal)
    try {
      return await dialProtocol(target, protocols, options)
    } catch (error) {
      if ((error as Error).name !== 'LimitedConnectionError') throw error
      await untilDirect(node, target, signal)
      return await dialProtocol(target, protocols, options)
    }
  }
}

/** Whether there is a connection through a relay now, where nothing else promises one. */
async function isFoundAtRelay (node: DirectComponents, peer: PeerId, signal: AbortSignal | undefined): Promise<boolean> {
  if (node.getConnections(peer).length > 0) return false
  const ways = node.services.slots.waysTo(peer)
  if (ways.length === 0 || (await addressesOf(node, peer)).some(isPromising)) return false
  return await node.dial(ways, signal === undefined ? {} : { signal }).then(() => true, () => false)
}

async function addressesOf ({ peerStore }: Pick<DirectComponents, 'peerStore'>, peer: PeerId): Promise<Multiaddr[]> {
  const known = await peerStore.get(peer).catch(() => undefined)
  return known?.addresses.map(({ multiaddr }) => multiaddr) ?? []
}

/** It comes from the other side, from both at once, or from here at an address that was passed over for the relay. */
async function untilDirect (node: DirectComponents, peer: PeerId, parent: AbortSignal | undefined): Promise<void> {
  const deadline = new Deadline(UPGRADE_TIMEOUT, `a direct connection to ${peer.toString()}`, parent)
  const { signal } = deadline
  try {
    if (node.getConnections(peer).some(isDirect)) return
    const opened = pEvent<'connection:open', CustomEvent<Connection>>(node, 'connection:open', { filter: ({ detail }) => detail.remotePeer.equals(peer) && isDirect(detail), signal })
    const others = (await addressesOf(node, peer)).filter(address => !isRelayed(address))
    if (others.length > 0) node.dial(others, { force: true, signal }).catch(() => {}) // the relay is there because these lead nowhere, as a rule
    await opened
  } catch (error) {
    parent?.throwIfAborted()
    throw signal.aborted ? await relayedOnly(node, peer) : error
  } finally {
    deadline.clear() // it does not end, as that would destroy a socket that has just been opened
  }
}

export function isDirect ({ limits, status }: Connection): boolean {
  return limits === undefined && status === 'open'
}

async function relayedOnly (node: DirectComponents, peer: PeerId): Promise<RelayedOnlyError> {
  const [theirs, ours] = [await addressesOf(node, peer), node.getMultiaddrs()].map(listed => {
    const direct = listed.filter(address => !isRelayed(address)).flatMap(address => address.getComponents())
    return [...new Set(direct.filter(({ name }) => name === 'tcp').map(({ value }) => value))].join(', ')
  })
  const places = [...(theirs === '' ? [] : [`TCP port ${theirs} of that peer's machine`]), ...(ours === '' ? [] : [`TCP port ${ours} of this one`])]
  return new RelayedOnlyError(
    `peer ${peer.toString()} is reached through a relay only, which passes on no tensors, and no direct connection came about within ${UPGRADE_TIMEOUT / 1000} s. ` +
    `Open ${places.join(', or ')}: have the router forward it and the firewall let it pass (a fixed one: --listen /ip4/0.0.0.0/tcp/4001). Or use a host that is reached directly`
  )
}
