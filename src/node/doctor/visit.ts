import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId, PeerUpdate } from '@libp2p/interface'
import { pEvent } from 'p-event'
import { advert, type Adverts } from '../../protocols/advert/index.js'
import { type Checkup, checkup, CHECKUP_PROTOCOL, type Checkups } from '../../protocols/checkup/index.js'
import { Deadline } from '../../protocols/deadline.js'
import { createMesh, type Mesh, type MeshInit } from '../mesh.js'

/** Of so many peers it is asked what they see. */
const ASKED_PEERS = 4

/** How long one of them may take, in milliseconds: it dials for a few seconds. */
const ASK_TIMEOUT = 8_000

/** What a peer said of this node. */
export interface Seen {
  readonly peer: PeerId
  readonly checkup: Checkup
  /** By this node's clock, in milliseconds since 1970. */
  readonly asked: number
  readonly answered: number
}

/** A node for the time of an examination, under an identity of its own: the real one may be in use. */
export class Visit {
  readonly mesh: Mesh
  readonly adverts: Adverts
  readonly #checkups: Checkups
  readonly #now: () => number
  #seen: Promise<Seen[]> | undefined

  private constructor (mesh: Mesh, now: () => number) {
    this.mesh = mesh
    this.adverts = advert({ pubsub: mesh.services.pubsub })(mesh)
    this.#checkups = checkup()(mesh)
    this.#now = now
  }

  /** @param now this machine's clock, in milliseconds since 1970 */
  static async begin (init: Omit<MeshInit, 'identity' | 'bootstrap'>, now: () => number): Promise<Visit> {
    const mesh = await createMesh({ ...init, identity: await generateKeyPair('Ed25519') })
    const visit = new Visit(mesh, now)
    await visit.#checkups.start()
    await visit.adverts.start()
    return visit
  }

  async end (): Promise<void> {
    await this.adverts.stop()
    await this.#checkups.stop()
    await this.mesh.stop()
  }

  /** TCP ports at which it listens. */
  get ports (): number[] {
    const ports = this.mesh.getMultiaddrs().flatMap(address => address.getComponents()).filter(({ name }) => name === 'tcp')
    return [...new Set(ports.map(({ value }) => Number(value)))]
  }

  /** What peers see of it, asked once. Those that do not answer are left out. */
  async seen (signal: AbortSignal): Promise<Seen[]> {
    this.#seen ??= this.#ask(signal)
    return await this.#seen
  }

  /** A peer's agent and protocols, as soon as it has told them. */
  async told (peer: PeerId, signal: AbortSignal): Promise<{ readonly agent: string, readonly protocols: readonly string[] }> {
    for (;;) {
      const { protocols, metadata } = await this.mesh.peerStore.get(peer)
      const agent = metadata.get('AgentVersion') // comes by identify, with all protocols
      if (agent !== undefined) return { agent: new TextDecoder().decode(agent), protocols }
      await pEvent<'peer:update', CustomEvent<PeerUpdate>>(this.mesh, 'peer:update', { filter: ({ detail }) => detail.peer.id.equals(peer), signal })
    }
  }

  async #ask (signal: AbortSignal): Promise<Seen[]> {
    const asked = await Promise.allSettled(this.mesh.getPeers().slice(0, ASKED_PEERS).map(async peer => await this.#askOne(peer, signal)))
    return asked.flatMap(outcome => outcome.status === 'fulfilled' ? outcome.value : [])
  }

  async #askOne (peer: PeerId, parent: AbortSignal): Promise<Seen[]> {
    const deadline = new Deadline(ASK_TIMEOUT, peer.toString(), parent)
    const { signal } = deadline
    try {
      const { protocols } = await this.told(peer, signal)
      if (!protocols.includes(CHECKUP_PROTOCOL)) return []
      const asked = this.#now()
      const checkup = await this.#checkups.ask(peer, this.ports, { signal })
      return [{ peer, checkup, asked, answered: this.#now() }]
    } finally {
      deadline.clear()
    }
  }
}
