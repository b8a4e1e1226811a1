import type { PeerId, Startable } from '@libp2p/interface'
import type { z } from 'zod'
import { InvalidTensorError, ProtocolError } from '../../errors.js'
import { checkManifest, CHUNK_BYTES, chunkOf, type Manifest } from '../../tensor/chunks.js'
import type { Deadline } from '../deadline.js'
import { type Answerer, answerer, type Dialer, type Frames } from '../frames.js'
import { decodeMessage, encodeMessage } from '../message.js'
import type { ConductListener } from '../bans.js'
import type { PeerLimits } from '../peer-limits.js'
import type { ByteCounter } from '../traffic.js'
import type { BlobStore } from './blob-store.js'
import { frameOfChunk } from './chunk-frame.js'
import { ASKER_TIMEOUT, BLOB_PROTOCOL, CHUNKS_AHEAD, IDLE_TIMEOUT, MAX_INBOUND_STREAMS, MAX_REQUEST_BYTES, MAX_UNREAD_REQUESTS } from './constants.js'
import { requestSchema } from './schema.js'
import { type Holders, type PullOptions, Transfer } from './transfer.js'

export type BlobComponents = Answerer & Dialer

export interface BlobInit {
  /** What is served, and where what is pulled goes. */
  readonly store: BlobStore
  /** Opens the streams over which what is large comes. @default the same as all */
  readonly bulk?: Dialer
  readonly counter?: ByteCounter
  readonly breaches?: ConductListener
  readonly limits?: PeerLimits
  /** How long a holder may send nothing before the next one is asked, in milliseconds. @default 10_000 */
  readonly idleTimeout?: number
}

export class BlobExchange implements Startable {
  readonly #components: BlobComponents
  readonly #bulk: Dialer
  readonly #store: BlobStore
  readonly #counter: ByteCounter | undefined
  readonly #breaches: ConductListener | undefined
  readonly #limits: PeerLimits | undefined
  readonly #idleTimeout: number
  readonly #transfers = new Map<string, Transfer>()

  constructor (components: BlobComponents, { store, bulk = components, counter, breaches, limits, idleTimeout = IDLE_TIMEOUT }: BlobInit) {
    this.#components = components
    this.#bulk = bulk
    this.#store = store
    this.#counter = counter
    this.#breaches = breaches
    this.#limits = limits
    this.#idleTimeout = idleTimeout
  }

  async start (): Promise<void> {
    const init = { maxBytes: MAX_REQUEST_BYTES, maxUnread: MAX_UNREAD_REQUESTS, timeout: ASKER_TIMEOUT, kind: 'blob', counter: this.#counter, breaches: this.#breaches, maxStreams: MAX_INBOUND_STREAMS, limits: this.#limits }
    await this.#components.handle(BLOB_PROTOCOL, answerer(init, this.#onStream), { maxInboundStreams: MAX_INBOUND_STREAMS })
  }

  async stop (): Promise<void> {
    await this.#components.unhandle(BLOB_PROTOCOL)
  }

  async pull (manifest: Manifest, holders: Holders, options: PullOptions): Promise<Uint8Array> {
    checkManifest(manifest)
    const { id, size } = manifest
    const held = this.#store.get(id)
    if (held !== undefined) {
      options.onProgress?.(size, size)
      return held.bytes
    }
    const running = this.#transfers.get(id)
    if (running === undefined) return await this.#begin(manifest, holders, options).join(options)
    try {
      return await running.join(options)
    } catch {
      options.signal.throwIfAborted()
      return await this.pull(manifest, holders, options) // the others' holders did not have it, or they gave up
    }
  }

  async pullInto (into: Uint8Array, manifest: Manifest, holders: Holders, options: PullOptions): Promise<void> {
    checkManifest(manifest)
    if (into.byteLength !== manifest.size) throw new InvalidTensorError(`a blob of ${manifest.size} bytes cannot be put into ${into.byteLength}`)
    await this.#transfer(manifest, holders, options, into).join(options)
  }

  #transfer (manifest: Manifest, holders: Holders, { kind, job }: PullOptions, into?: Uint8Array): Transfer {
    const init = { manifest, holders, kind, job, counter: this.#counter, breaches: this.#breaches, idleTimeout: this.#idleTimeout }
    const isLarge = manifest.size > CHUNKS_AHEAD * CHUNK_BYTES
    return new Transfer(isLarge ? this.#bulk : this.#components, into === undefined ? init : { ...init, into })
  }

  #begin (manifest: Manifest, holders: Holders, options: PullOptions): Transfer {
    const { id } = manifest
    const { kind } = options
    const transfer = this.#transfer(manifest, holders, options)
    this.#transfers.set(id, transfer)
    transfer.done.then(
      bytes => {
        this.#transfers.delete(id)
        this.#store.add({ manifest, bytes, kind })
      },
      () => this.#transfers.delete(id) // those who joined are told
    )
    return transfer
  }

  readonly #onStream = async (frames: Frames, peer: PeerId, deadline: Deadline): Promise<void> => {
    for (;;) {
      const request = await frames.readMessage(decodeRequest).catch(unlessRefused)
      if (request === undefined) return // the asker has what it wanted
      const { id, job, chunks } = request
      const found = this.#store.get(id)
      const held = found?.to?.some(other => other.equals(peer)) === false ? undefined : found
      for (const index of chunks) {
        if (held === undefined || index >= held.manifest.chunks.length) {
          await frames.write(encodeMessage({ refused: held === undefined ? 'not held here' : `there is no chunk ${index}` }), { job })
          return
        }
        await frames.write(frameOfChunk(chunkOf(held.bytes, held.manifest, index)), { kind: held.kind, job })
        deadline.touch()
        held.sent?.(peer, index)
      }
    }
  }
}

function decodeRequest (bytes: Uint8Array): z.infer<typeof requestSchema> {
  return decodeMessage(requestSchema, bytes)
}

/** The end of a stream is no error. */
function unlessRefused (error: unknown): undefined {
  if (error instanceof ProtocolError) throw error
  return undefined
}
