import { ColaNode } from '../node/node.js'
import { defineCommand } from './command.js'
import { describePeer, meshInit, NETWORK_OPTIONS } from './network.js'
import { untilAborted } from './watch-host.js'

/** Passes connections on between nodes that cannot dial each other, until it is told to stop. */
export const relay = defineCommand({
  command: 'relay',
  describe: 'Has nodes find each other that are behind routers, and connect directly; lends and trains nothing',
  options: {
    folder: { type: 'string', default: '.colanet/relay', describe: 'where the node keeps its identity, which is part of its address' },
    ...NETWORK_OPTIONS,
    listen: { type: 'list', default: ['/ip4/0.0.0.0/tcp/4001'], describe: 'multiaddrs to listen on; the port has to be reached from the internet' },
    announce: { type: 'list', describe: 'multiaddrs at which others reach it, where this machine does not see them itself, such as /ip4/203.0.113.7/tcp/4001' },
    maxReservations: { type: 'integer', min: 1, default: 128, describe: 'nodes that others may reach through it' },
    maxData: { type: 'integer', min: 16, default: 128, describe: 'KiB that pass through one connection: enough to agree on a direct one' },
    maxDuration: { type: 'integer', min: 1, default: 120, describe: 'how long one connection lasts, in seconds' }
  },
  examples: [
    ['relay', 'on TCP port 4001 of every address of this machine'],
    ['relay --announce /ip4/203.0.113.7/tcp/4001', 'on a machine that sees only its private address']
  ],
  handler: async ({ folder, announce = [], maxReservations, maxData, maxDuration, ...network }, { signal, report, log }) => {
    const limits = { reservations: maxReservations, bytes: maxData * 1024, duration: maxDuration * 1000 }
    const node = await ColaNode.start({ folder, ...meshInit(network), announce, relay: limits, log })
    try {
      const addresses = node.mesh.getMultiaddrs().map(String)
      describePeer(node, log)
      log('what nodes use it with:')
      for (const address of addresses) log(`  --bootstrap ${address}`)
      log('Ctrl+C stops it')
      await untilAborted(signal)
      const reservations = node.mesh.services.relay?.reservations.size ?? 0
      await report({ peer: node.mesh.peerId.toString(), addresses, reservations, limits, ...node.traffic.accounts() }, `${reservations} nodes were reached through it`)
    } finally {
      await node.stop()
    }
  }
})
