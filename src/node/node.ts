import type { PeerId, PrivateKey } from '@libp2p/interface'
import { advert, type Adverts } from '../protocols/advert/index.js'
import { Bans } from '../protocols/bans.js'
import { blob, type Blobs, BlobStore } from '../protocols/blob/index.js'
import { checkup, type Checkups } from '../protocols/checkup/index.js'
import { contribution, type Contributions } from '../protocols/contribution/index.js'
import { watchGossip } from '../protocols/gossip-watch.js'
import { DEFAULT_PEER_LIMITS, type PeerLimits } from '../protocols/peer-limits.js'
import { Traffic } from '../protocols/traffic.js'
import { BulkConnections } from './bulk-connections.js'
import { lockFolder } from './folder-lock.js'
import { loadIdentity } from './identity.js'
import { Jobs, type JobsNetwork } from './jobs.js'
import { meetMembers } from './meeting.js'
import { createMesh, type Mesh, type MeshInit } from './mesh.js'
import { Pulses } from './pulses.js'
import { useRelays } from './relaying/use-relays.js'

export interface ColaNodeInit extends Omit<MeshInit, 'identity' | 'bans'> {
  /** Where the node keeps its identity and its state. It is made if it is not there. */
  readonly folder: string
  /** What any one peer may do here. @default see `PeerLimits` */
  readonly limits?: Partial<PeerLimits>
}

/** A running node: the mesh and the protocols that both roles share. */
export class ColaNode {
  readonly folder: string
  readonly identity: PrivateKey
  readonly mesh: Mesh
  readonly store: BlobStore
  readonly blobs: Blobs
  readonly adverts: Adverts
  readonly contributions: Contributions
  readonly checkups: Checkups
  readonly jobs: Jobs
  readonly traffic: Traffic
  /** Whether peers that are waited for are still there. */
  readonly pulses: Pulses
  /** Peers that did what no honest one does. */
  readonly bans: Bans
  readonly limits: PeerLimits
  readonly log: (error: unknown) => void
  readonly #unlock: () => Promise<void>
  #leaveRelays = (): void => {}

  private constructor (folder: string, identity: PrivateKey, mesh: Mesh, bans: Bans, limits: PeerLimits, unlock: () => Promise<void>) {
    const log = mesh.logger.forComponent('colanet:node')
    this.folder = folder
    this.identity = identity
    this.mesh = mesh
    this.log = error => log('%s', error)
    this.traffic = new Traffic()
    this.pulses = new Pulses({ ping: async (peer, options) => await mesh.services.ping.ping(peer, options), counter: this.traffic })
    const counter = this.pulses
    this.bans = bans
    this.limits = limits
    bans.addEventListener('ban', ({ detail: { peer, reason, until } }) => {
      this.log(`${peer.toString()} is banned until ${new Date(until).toISOString()}: ${reason}`)
      for (const connection of mesh.getConnections(peer)) connection.abort(new Error(`banned: ${reason}`)) // to close takes two
    })
    watchGossip(mesh.services.pubsub, { breaches: bans, messages: limits.messages })
    this.store = new BlobStore()
    const conduct = { counter, breaches: bans, limits }
    const bulk = new BulkConnections(mesh, { log: mesh.logger.forComponent('colanet:bulk') })
    this.blobs = blob({ store: this.store, bulk, ...conduct })(mesh)
    this.adverts = advert({ pubsub: mesh.services.pubsub, ...conduct })(mesh)
    const network = { pubsub: mesh.services.pubsub, blobs: this.blobs, connectedPeers: () => mesh.getPeers(), counter, breaches: bans }
    this.jobs = new Jobs({ identity, store: this.store, log: this.log, network: { ...network, meet: this.#meet } })
    this.contributions = contribution({ store: this.jobs, ...conduct })(mesh)
    this.checkups = checkup(conduct)(mesh)
    this.#unlock = unlock
  }

  /**
   * @throws {FolderInUseError} if another process runs a node in the folder
   * @throws {InvalidIdentityError} if the folder holds a damaged key
   * @throws {InvalidOptionError} if an address is not a multiaddr
   */
  static async start ({ folder, limits, ...init }: ColaNodeInit): Promise<ColaNode> {
    const unlock = await lockFolder(folder)
    let mesh: Mesh | undefined
    try {
      const identity = await loadIdentity(folder)
      const bans = new Bans()
      mesh = await createMesh({ ...init, identity, bans })
      const node = new ColaNode(folder, identity, mesh, bans, { ...DEFAULT_PEER_LIMITS, ...limits }, unlock)
      await node.blobs.start()
      await node.contributions.start()
      await node.checkups.start()
      await node.adverts.start()
      node.#leaveRelays = await useRelays(node)
      return node
    } catch (error) {
      await mesh?.stop()
      await unlock()
      throw error
    }
  }

  readonly #meet: NonNullable<JobsNetwork['meet']> = async (job, members, signal) => {
    const sync = async (peer: PeerId, signal: AbortSignal): Promise<unknown> => await this.contributions.sync(peer, job, { signal })
    await meetMembers({ mesh: this.mesh, job, members, sync, log: this.mesh.logger.forComponent('colanet:meeting') }, signal)
  }

  /** Leaves the mesh. What is under way ends. */
  async stop (): Promise<void> {
    this.#leaveRelays()
    this.jobs.stop()
    await this.adverts.stop()
    await this.checkups.stop()
    await this.contributions.stop()
    await this.blobs.stop()
    await this.mesh.stop()
    await this.#unlock()
  }
}
