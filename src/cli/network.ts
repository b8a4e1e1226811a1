import type { ColaNode, ColaNodeInit } from '../node/node.js'
import type { Options, Values } from './options.js'

/** Options of every command that joins the mesh. */
export const NETWORK_OPTIONS = {
  listen: { type: 'list', describe: 'multiaddrs to listen on (default: every address of this machine, on a free TCP port)' },
  bootstrap: { type: 'list', describe: 'multiaddrs of peers to stay connected to, such as /ip4/192.168.1.2/tcp/4001/p2p/12D3KooW…' },
  mdns: { type: 'boolean', default: true, describe: 'look for peers on the local network' },
  localDiscovery: { type: 'string', describe: 'folder through which nodes on this machine find each other, or none (default: one of the user\'s among the temporary files)' }
} as const satisfies Options

/** How a node starts that was asked for so. */
export function meshInit ({ listen, bootstrap, mdns, localDiscovery }: Values<typeof NETWORK_OPTIONS>): Omit<ColaNodeInit, 'folder'> {
  return {
    mdns,
    ...(listen === undefined ? {} : { listen }),
    ...(bootstrap === undefined ? {} : { bootstrap }),
    ...(localDiscovery === undefined ? {} : { localFolder: localDiscovery === 'none' ? false : localDiscovery })
  }
}

/** Says whom the node bans, when it does, and why. */
export function tellBans ({ bans }: Pick<ColaNode, 'bans'>, log: (line: string) => void): void {
  bans.addEventListener('ban', ({ detail: { peer, reason, until } }) => {
    log(`banned ${peer.toString()} until ${new Date(until).toISOString()}: ${reason}`)
  })
}

/** Those who are banned now, for a report. */
export function bannedBy ({ bans }: Pick<ColaNode, 'bans'>): ReadonlyArray<{ peer: string, reason: string, until: string }> {
  return bans.list().map(({ peer, reason, until }) => ({ peer: peer.toString(), reason, until: new Date(until).toISOString() }))
}

/** Tells under which id and addresses others reach the node, and those that it is given later, by relays. */
export function describePeer ({ mesh }: Pick<ColaNode, 'mesh'>, log: (line: string) => void): void {
  const told = new Set<string>()
  const tell = (): void => {
    for (const address of mesh.getMultiaddrs().map(String).filter(address => !told.has(address))) {
      told.add(address)
      log(`  ${address}`)
    }
  }
  log(`peer ${mesh.peerId.toString()} listens on`)
  tell()
  mesh.addEventListener('self:peer:update', () => {
    if (mesh.getMultiaddrs().every(address => told.has(address.toString()))) return
    log('and is reached through a relay at')
    tell()
  })
}
