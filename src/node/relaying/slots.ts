import { type CircuitRelayTransportComponents, RELAY_V2_HOP_CODEC } from '@libp2p/circuit-relay-v2'
import type { PeerId, Startable } from '@libp2p/interface'
import { isPrivate } from '@libp2p/utils'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'

type SlotsComponents = Pick<CircuitRelayTransportComponents, 'addressManager' | 'transportManager' | 'registrar' | 'events'>

export function slots (): (components: SlotsComponents) => Slots {
  return components => new Slots(components)
}

/** The ways between this node and others that are not of its local network. */
export class Slots implements Startable {
  readonly #components: SlotsComponents
  /** Addresses of relays that it is connected to, by peer. */
  readonly #relays = new Map<string, Multiaddr>()
  #registration: string | undefined

  constructor (components: SlotsComponents) {
    this.#components = components
    components.events.addEventListener('transport:listening', this.#onListening)
  }

  async start (): Promise<void> {
    this.#registration = await this.#components.registrar.register(RELAY_V2_HOP_CODEC, {
      onConnect: (peer, { remoteAddr }) => { this.#relays.set(peer.toString(), remoteAddr) },
      onDisconnect: peer => { this.#relays.delete(peer.toString()) }
    })
  }

  stop (): void {
    if (this.#registration !== undefined) this.#components.registrar.unregister(this.#registration)
    this.#relays.clear()
  }

  /** Where a peer is, if it has a slot at one of these relays: each says at once if it has not. */
  waysTo (peer: PeerId): Multiaddr[] {
    const relays = [...this.#relays].filter(([relay]) => relay !== peer.toString())
    return relays.map(([, address]) => multiaddr(`${address.toString()}/p2p-circuit/p2p/${peer.toString()}`))
  }

  /**
   * Has a relay pass connections on to this node, as long as there is a connection to it.
   *
   * @throws if the relay has no slot left
   */
  async reserve (relay: Multiaddr): Promise<void> {
    await this.#components.transportManager.listen([multiaddr(`${relay.toString()}/p2p-circuit`)])
  }

  /**
   * A public address of this machine is told to others from the start: libp2p would keep it to itself until four networks
   * have dialled it, which in a small mesh never happens. AutoNAT takes it back if it cannot be dialled.
   */
  readonly #onListening = (): void => {
    const { addressManager, transportManager } = this.#components
    for (const address of transportManager.getAddrs()) {
      if (!isPrivate(address)) addressManager.confirmObservedAddr(address, { type: 'transport' })
    }
  }
}
