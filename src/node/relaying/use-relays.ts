import { RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { Connection, PeerId } from '@libp2p/interface'
import { isPrivate, isPrivateIp } from '@libp2p/utils'
import type { Checkups } from '../../protocols/checkup/index.js'
import { Deadline } from '../../protocols/deadline.js'
import type { Mesh } from '../mesh.js'
import { isRelayed } from './relayed.js'

/** How long a relay may take to dial back and to give a slot, in milliseconds. */
const TIMEOUT = 20_000

interface RelayUser {
  readonly mesh: Mesh
  readonly checkups: Pick<Checkups, 'ask'>
  readonly log: (what: unknown) => void
}

/**
 * Has each relay that the node is connected to dial it back, and takes a slot at those that cannot, so that others reach the
 * node through them.
 *
 * @returns stops it; slots that are held stay
 */
export async function useRelays ({ mesh, checkups, log }: RelayUser): Promise<() => void> {
  const stopped = new AbortController()
  const onConnect = (peer: PeerId, connection: Connection): void => {
    const deadline = new Deadline(TIMEOUT, `a slot at relay ${peer.toString()}`, stopped.signal)
    reserveUnlessReached({ mesh, checkups, log }, connection, deadline.signal).catch(log).finally(() => deadline.clear())
  }
  const registration = await mesh.register(RELAY_V2_HOP_CODEC, { onConnect })
  for (const connection of mesh.getConnections()) {
    const { protocols } = await mesh.peerStore.get(connection.remotePeer)
    if (protocols.includes(RELAY_V2_HOP_CODEC)) onConnect(connection.remotePeer, connection)
  }
  return () => {
    mesh.unregister(registration)
    stopped.abort()
  }
}

async function reserveUnlessReached ({ mesh, checkups, log }: RelayUser, { remotePeer, remoteAddr }: Connection, signal: AbortSignal): Promise<void> {
  const own = mesh.getMultiaddrs().filter(address => !isRelayed(address)).flatMap(address => address.getComponents())
  const ports = [...new Set(own.filter(({ name }) => name === 'tcp').map(({ value }) => Number(value)))]
  if (ports.length === 0) return // it does not want to be dialled
  const { from, dialled } = await checkups.ask(remotePeer, ports, { signal })
  const { addresses } = await mesh.peerStore.get(remotePeer)
  const isPublic = addresses.some(({ multiaddr }) => !isRelayed(multiaddr) && !isPrivate(multiaddr))
  const beside = from !== null && isPrivateIp(from) === true // of its own network, which says nothing of the rest of the world
  if (dialled.some(({ error }) => error === null) && !(isPublic && beside)) return
  await mesh.services.slots.reserve(remoteAddr)
  log(`peers reach this node through relay ${remoteAddr.toString()}`)
}
