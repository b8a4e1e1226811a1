import { type Connection, isPeerId, type Libp2p, type Logger, type PeerId } from '@libp2p/interface'
import type { Multiaddr } from '@multiformats/multiaddr'
import type { Dialer } from '../protocols/frames.js'
import { isDirect } from './relaying/direct.js'

type BulkComponents = Pick<Libp2p, 'dial' | 'dialProtocol' | 'getConnections'>

export interface BulkInit {
  readonly log: Logger
  /** How long a connection is kept that nothing comes over, in milliseconds. @default 30_000 */
  readonly idle?: number
}

/** How long it may take to open one, and then until it is tried again, in milliseconds. */
const OPEN_TIMEOUT = 10_000
const PAUSE = 60_000

/**
 * Streams for what is large, over a second connection to the peer. Frames of one connection are sent one after the other, so that on
 * a slow link a request or an announcement waits behind what was written of tensors before it: seconds at 20 Mbit/s. All else goes over the
 * oldest connection, see `onlyDirect`.
 *
 * It is opened beside the first stream, which does not wait for it, to the address at which the peer was reached. There is none to a
 * peer that has dialled this node.
 */
export class BulkConnections implements Dialer {
  readonly #mesh: BulkComponents
  readonly #log: Logger
  readonly #idle: number
  readonly #opened = new Map<string, Connection>()
  /** Peers of which one has been used of late. */
  readonly #used = new Set<string>()
  /** Peers to which none is opened now: until when, in milliseconds since 1970. */
  readonly #passedOver = new Map<string, number>()

  constructor (mesh: BulkComponents, { log, idle = 30_000 }: BulkInit) {
    this.#mesh = mesh
    this.#log = log
    this.#idle = idle
  }

  readonly dialProtocol: Dialer['dialProtocol'] = async (target, protocols, options) => {
    const connection = isPeerId(target) ? this.#connectionTo(target) : undefined
    if (connection === undefined) return await this.#mesh.dialProtocol(target, protocols, options)
    return await connection.newStream(protocols, options)
  }

  #connectionTo (peer: PeerId): Connection | undefined {
    const oldest = this.#mesh.getConnections(peer).find(isDirect)
    const opened = this.#opened.get(peer.toString())
    if (opened !== undefined && opened !== oldest) {
      this.#used.add(peer.toString())
      return opened
    }
    if (oldest?.direction === 'outbound' && (this.#passedOver.get(peer.toString()) ?? 0) < Date.now()) this.#openInBackground(peer, oldest.remoteAddr)
    return undefined
  }

  #openInBackground (peer: PeerId, address: Multiaddr): void {
    const name = peer.toString()
    this.#passedOver.set(name, Infinity) // until it is known what comes of it
    this.#open(name, address).then(() => this.#passedOver.delete(name), (error: unknown) => {
      this.#passedOver.set(name, Date.now() + PAUSE)
      this.#log('%s: no second connection: %s', name, error)
    })
  }

  async #open (name: string, address: Multiaddr): Promise<void> {
    const connection = await this.#mesh.dial(address, { force: true, signal: AbortSignal.timeout(OPEN_TIMEOUT) })
    this.#opened.set(name, connection)
    const timer = setInterval(() => {
      if (this.#used.delete(name) || connection.streams.length > 0) return
      connection.close().catch((error: unknown) => this.#log('%s', error))
    }, this.#idle)
    timer.unref()
    connection.addEventListener('close', () => {
      clearInterval(timer)
      this.#opened.delete(name)
      this.#used.delete(name)
    })
  }
}
