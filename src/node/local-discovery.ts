import { type FSWatcher, watch } from 'node:fs'
import { chmod, lstat, mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import {
  type ComponentLogger, type Libp2pEvents, type Logger, type PeerDiscovery, type PeerDiscoveryEvents, peerDiscoverySymbol,
  type PeerId, type PeerStore, type Startable, TypedEventEmitter, type TypedEventTarget
} from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { z } from 'zod'
import { InvalidOptionError } from '../errors.js'
import { replaceFile } from '../files.js'

/** The folder is read so often even if nothing is heard of changes in it, in milliseconds. */
const SCAN_INTERVAL = 5_000

/** One dial, in milliseconds: the other node is on this machine, but may be busy. */
const DIAL_TIMEOUT = 10_000

const SUFFIX = '.json'

const entrySchema = z.strictObject({ pid: z.number().int().positive(), addresses: z.array(z.string().max(500)).max(64) })

export interface LocalDiscoveryInit {
  /** Where nodes tell each other of themselves. Nobody but the user may write there. @default `colanet-<user>` among the system's temporary files */
  readonly folder?: string
}

export interface LocalDiscoveryComponents {
  readonly peerId: PeerId
  readonly logger: ComponentLogger
  readonly events: Pick<TypedEventTarget<Libp2pEvents>, 'addEventListener' | 'removeEventListener'>
  readonly peerStore: Pick<PeerStore, 'merge'>
  readonly addressManager: { getAddresses: () => Multiaddr[] }
  readonly connectionManager: {
    getConnections: (peer: PeerId) => unknown[]
    openConnection: (peer: PeerId, options: { signal: AbortSignal }) => Promise<unknown>
  }
}

/**
 * Nodes of one user on one machine find each other, where multicast may not work: each writes its addresses into a
 * folder that all of them watch, and dials those that it finds there.
 */
export function localDiscovery (init: LocalDiscoveryInit = {}): (components: LocalDiscoveryComponents) => PeerDiscovery {
  return components => new LocalDiscovery(components, init)
}

class LocalDiscovery extends TypedEventEmitter<PeerDiscoveryEvents> implements PeerDiscovery, Startable {
  readonly [peerDiscoverySymbol] = this
  readonly [Symbol.toStringTag] = 'colanet/local-discovery'
  readonly #components: LocalDiscoveryComponents
  readonly #folder: string
  readonly #log: Logger
  #watcher: FSWatcher | undefined
  #interval: NodeJS.Timeout | undefined
  /** One thing at a time in the folder. */
  #work = Promise.resolve()

  constructor (components: LocalDiscoveryComponents, { folder = join(tmpdir(), `colanet-${userInfo().username}`) }: LocalDiscoveryInit) {
    super()
    this.#components = components
    this.#folder = folder
    this.#log = components.logger.forComponent('colanet:local-discovery')
  }

  async start (): Promise<void> {
    await claimFolder(this.#folder)
  }

  /** Addresses come with `self:peer:update`, once the node listens. */
  afterStart (): void {
    this.#watcher = watch(this.#folder, this.#onChange).on('error', this.#onError)
    this.#interval = setInterval(this.#onChange, SCAN_INTERVAL)
    this.#components.events.addEventListener('self:peer:update', this.#onAddresses)
    this.#onAddresses()
  }

  async stop (): Promise<void> {
    this.#watcher?.close()
    clearInterval(this.#interval)
    this.#components.events.removeEventListener('self:peer:update', this.#onAddresses)
    await this.#work
    if (this.#watcher === undefined) return // it was refused: what is there is not this node's to touch
    await rm(this.#pathOf(this.#components.peerId.toString()), { force: true })
  }

  #pathOf (peer: string): string {
    return join(this.#folder, peer + SUFFIX)
  }

  readonly #onError = (error: unknown): void => this.#log('%s', error)

  readonly #onAddresses = (): void => {
    this.#queue(async () => this.#announce())
    this.#onChange()
  }

  #scanning = false

  readonly #onChange = (): void => {
    if (this.#scanning) return
    this.#scanning = true
    this.#queue(async () => {
      this.#scanning = false
      await this.#scan()
    })
  }

  #queue (step: () => Promise<void>): void {
    this.#work = this.#work.then(step).catch(this.#onError)
  }

  async #announce (): Promise<void> {
    const addresses = this.#components.addressManager.getAddresses().map(String)
    if (addresses.length === 0) return // it does not listen yet
    await replaceFile(this.#pathOf(this.#components.peerId.toString()), JSON.stringify({ pid: process.pid, addresses }), 0o600)
  }

  async #scan (): Promise<void> {
    const names = (await readdir(this.#folder)).filter(name => name.endsWith(SUFFIX))
    const own = this.#components.peerId.toString() + SUFFIX
    if (!names.includes(own)) await this.#announce() // someone tidied up
    for (const name of names) {
      if (name !== own) await this.#discover(name).catch(this.#onError)
    }
  }

  async #discover (name: string): Promise<void> {
    const path = join(this.#folder, name)
    const id = peerIdFromString(name.slice(0, -SUFFIX.length))
    const { pid, addresses } = entrySchema.parse(JSON.parse(await readFile(path, 'utf8')))
    if (!isRunning(pid)) {
      await rm(path, { force: true })
      return
    }
    const { connectionManager, peerStore } = this.#components
    if (addresses.length === 0 || connectionManager.getConnections(id).length > 0) return // without addresses it would be looked up in the DHT
    const multiaddrs = addresses.map(address => multiaddr(address))
    await peerStore.merge(id, { multiaddrs })
    this.safeDispatchEvent('peer', { detail: { id, multiaddrs } })
    connectionManager.openConnection(id, { signal: AbortSignal.timeout(DIAL_TIMEOUT) }).catch(this.#onError)
  }
}

/** Another user's folder would have this node dial whom that user wants. */
async function claimFolder (folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    if (!['EEXIST', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error // refused below
  })
  const found = await lstat(folder).catch(() => undefined)
  const owner = process.getuid?.() ?? found?.uid
  if (found?.isDirectory() !== true || found.uid !== owner) {
    throw new InvalidOptionError(`${folder} is not a folder of this user's own: name another one, or none, for finding nodes on this machine`)
  }
  if ((found.mode & 0o077) !== 0) await chmod(folder, 0o700)
}

/** A process of another user counts: the file is ours, so it may have changed its user. */
function isRunning (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
