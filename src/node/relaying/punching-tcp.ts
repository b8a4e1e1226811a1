import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { Connection, MultiaddrConnection, Transport, Upgrader, UpgraderOptions } from '@libp2p/interface'
import { tcp, type TCPComponents } from '@libp2p/tcp'
import { isPrivate } from '@libp2p/utils'

/** What the system says of a local port from which there is such a connection, or was a moment ago. */
const TAKEN = new Set(['EADDRINUSE', 'EADDRNOTAVAIL'])

/**
 * TCP as hole punching needs it. It dials public addresses from one port, which is not one that it listens on: most address
 * translators then show the same outer port to everybody, so that what one peer sees of it is where another can meet it.
 * Addresses of the local network are dialled from any port. Who is told not to speak first (`initiator`) is, to the muxer
 * also, the one who was dialled.
 */
export function punchingTcp (): (components: TCPComponents) => Transport {
  return components => {
    const transport = tcp()(components)
    const dial = transport.dial.bind(transport)
    let port: Promise<number> | undefined
    transport.dial = async (address, options) => {
      const { upgrader, initiator } = options as typeof options & { readonly initiator?: boolean }
      const given = initiator === false ? { ...options, upgrader: asDialled(upgrader) } : options
      if (isPrivate(address)) return await dial(address, given)
      const chosen = port ??= freePort()
      try {
        return await dial(address, from(given, await chosen))
      } catch (error) {
        if (!TAKEN.has((error as NodeJS.ErrnoException).code ?? '')) throw error
        if (port === chosen) port = undefined // the next one has another
        return await dial(address, given)
      }
    }
    return transport
  }
}

/** @libp2p/tcp hands options on to `net.connect`. */
function from<T extends object> (options: T, localPort: number): T {
  return { ...options, localPort }
}

/** libp2p's upgrader goes by `initiator`, but the muxer by the direction of what it is given. */
function asDialled (upgrader: Upgrader): Upgrader {
  return Object.assign(Object.create(upgrader) as Upgrader, {
    upgradeOutbound: async (raw: MultiaddrConnection, options: UpgraderOptions): Promise<Connection> => await upgrader.upgradeOutbound(Object.assign(raw, { direction: 'inbound' }), options)
  })
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
