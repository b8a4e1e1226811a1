import { type Connection, isPeerId, type Libp2p, type Logger, type PeerId } from '@libp2p/interface'
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
 * first connection, see `onlyDirect`.
 *
 * It is opened beside the first stream, which does not wait for it, to the address at which the peer was reached. There is none to a
 * peer that has dialled this node.
 */
export class BulkConnections implements Dialer {
  readonly #mesh: BulkComponents
  readonly #log: Logger
  readonly #idle: number
  readonly #opened = new Map<string, Connection>()
  /** Those that have been used of late. */
  readonly #used = new WeakSet<Connection>()
  /** Peers to which none is opened now: until when, in milliseconds since 1970. */
  readonly #passedOver = new Map<string, number>()

  constructor (mesh: BulkComponents, { log, idle = 30_000 }: BulkInit) {
    this.#mesh = mesh
    this.#log = log
    this.#idle = idle
  }

  readonly dialProtocol: Dialer['dialProtocol'] = async (target, protocols, options) => {
    const connection = isPeerId(target) ? this.#connectionTo(target) : undefined
    if (connection !== undefined) {
      try {
        return await connection.newStream(protocols, options)
      } catch (error) {
        this.#opened.delete(connection.remotePeer.toString()) // what is under way on it goes on; it is closed when that is done
        options?.signal?.throwIfAborted()
        this.#log('%p: %s', connection.remotePeer, error)
      }
    }
    return await this.#mesh.dialProtocol(target, protocols, options)
  }

  #connectionTo (peer: PeerId): Connection | undefined {
    const name = peer.toString()
    const opened = this.#opened.get(name)
    if (opened !== undefined) {
      this.#used.add(opened)
      return opened
    }
    const oldest = this.#mesh.getConnections(peer).find(isDirect)
    if (oldest?.direction === 'outbound' && (this.#passedOver.get(name) ?? 0) < Date.now()) this.#openInBackground(name, oldest)
    return undefined
  }

  #openInBackground (name: string, beside: Connection): void {
    this.#passedOver.set(name, Infinity) // until it is known what comes of it
    this.#open(name, beside).then(() => this.#passedOver.delete(name), (error: unknown) => {
      this.#passedOver.set(name, Date.now() + PAUSE)
      this.#log('%s: no second connection: %s', name, error)
    })
  }

  /** It ends with the one that it stands beside: a peer is only told of as gone, and all set up anew, when it has no connection any more. */
  async #open (name: string, beside: Connection): Promise<void> {
    const connection = await this.#mesh.dial(beside.remoteAddr, { force: true, signal: AbortSignal.timeout(OPEN_TIMEOUT) })
    const forget = (): void => {
      clearInterval(timer)
      beside.removeEventListener('close', close)
      if (this.#opened.get(name) === connection) this.#opened.delete(name)
    }
    const close = (): void => {
      forget() // before it is closed: nothing is to begin on it any more
      connection.close().catch((error: unknown) => this.#log('%s', error))
    }
    const timer = setInterval(() => {
      if (!this.#used.delete(connection) && connection.streams.length === 0) close()
    }, this.#idle)
    timer.unref()
    connection.addEventListener('close', forget)
    beside.addEventListener('close', close)
    this.#opened.set(name, connection)
    if (beside.status !== 'open') close()
  }
}
