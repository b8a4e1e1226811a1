import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { dcutr, type DCUtRServiceComponents } from '@libp2p/dcutr'
import type { Connection, IdentifyResult, Libp2pEvents, PeerId, TypedEventTarget } from '@libp2p/interface'
import { isPrivate } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { Deadline } from '../../protocols/deadline.js'

/** One attempt to meet, in milliseconds: a SYN that was lost is sent again after 1 s and 3 s. */
const TIMEOUT = 4_000

/** Attempts over one relayed connection. */
const ATTEMPTS = 2

/** A router that refuses what it does not expect is tried again after up to so many milliseconds, within an attempt. */
const LONGEST_PAUSE = 200

interface PunchingComponents extends DCUtRServiceComponents {
  readonly peerId: PeerId
  readonly events: TypedEventTarget<Libp2pEvents>
}

/** How a connection is opened that both sides open at once. */
interface PunchOptions {
  readonly signal?: AbortSignal
  /** Set for these only. */
  readonly priority?: number
  /** Which side speaks first. */
  readonly initiator?: boolean
}

/**
 * DCUtR (https://github.com/libp2p/specs/blob/master/relay/DCUtR.md) for TCP: who is connected through a relay agrees there
 * on a moment at which both dial. libp2p's own leaves out the addresses that peers see, since it dials from any port, and
 * its dial queue forgets who is to speak first; here both come from `punchingTcp`.
 */
export function holePunching (): (components: PunchingComponents) => unknown {
  return components => {
    const { peerId, events, addressManager, connectionManager, transportManager } = components
    const seen = new SeenAddress(peerId, events)
    const punch = async (addresses: readonly Multiaddr[], { signal, initiator = true }: PunchOptions): Promise<Connection> => {
      const attempts = addresses.map(address => ({ address, deadline: new Deadline(TIMEOUT, address.toString(), signal) }))
      const met = await Promise.any(attempts.map(async ({ address, deadline }) => {
        const connection = await untilMet(async () => await transportManager.dial(address, withRole(deadline.signal, initiator)), deadline.signal)
        deadline.clear() // at its end the socket would be destroyed
        return { connection, address }
      })).finally(() => {
        for (const { deadline } of attempts) deadline.clear()
      })
      for (const { address, deadline } of attempts) {
        if (address !== met.address) deadline.abort(new Error('met at another address'))
      }
      return met.connection
    }
    const open = async (target: Multiaddr[], options: PunchOptions): Promise<Connection> =>
      options.priority === undefined ? await connectionManager.openConnection(target, options) : await punch(target, options)
    return dcutr({ timeout: TIMEOUT, retries: ATTEMPTS })({
      peerStore: components.peerStore,
      registrar: components.registrar,
      logger: components.logger,
      transportManager,
      // nothing else is asked of these two
      addressManager: { getAddresses: () => [...addressManager.getAddresses(), ...seen.address] } as unknown as DCUtRServiceComponents['addressManager'],
      connectionManager: { openConnection: open } as unknown as DCUtRServiceComponents['connectionManager']
    })
  }
}

/** Options that a transport hands on to libp2p's upgrader. */
function withRole (signal: AbortSignal, initiator: boolean): { readonly signal: AbortSignal } {
  const options = { signal, initiator }
  return options
}

/** Where a peer on the internet last saw this node dial from. It is no address at which the node listens, and told to nobody else. */
class SeenAddress {
  readonly #peer: PeerId
  #address: Multiaddr | undefined

  constructor (peer: PeerId, events: TypedEventTarget<Libp2pEvents>) {
    this.#peer = peer
    events.addEventListener('peer:identify', this.#onIdentify)
  }

  /** One, or none. */
  get address (): Multiaddr[] {
    return this.#address === undefined ? [] : [this.#address]
  }

  readonly #onIdentify = ({ detail: { observedAddr, connection } }: CustomEvent<IdentifyResult>): void => {
    if (observedAddr === undefined || connection.direction !== 'outbound' || connection.limits !== undefined || isPrivate(connection.remoteAddr) || isPrivate(observedAddr)) return
    this.#address = multiaddr(`${observedAddr.toString().split('/p2p/')[0]}/p2p/${this.#peer.toString()}`)
  }
}

/** Dials again while the other side's router does not expect it yet. */
async function untilMet (dial: () => Promise<Connection>, signal: AbortSignal): Promise<Connection> {
  setMaxListeners(Infinity, signal) // each dial leaves one
  for (;;) {
    try {
      return await dial()
    } catch (error) {
      if (signal.aborted || (error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') throw error
      await delay(Math.random() * LONGEST_PAUSE, undefined, { signal })
    }
  }
}
