import type { PeerId } from '@libp2p/interface'
import { BlobUnavailableError, InvalidTensorError, RelayedOnlyError } from '../../errors.js'
import { chunkOf, type Manifest, verifyChunk } from '../../tensor/chunks.js'
import { unlessAborted } from '../deadline.js'
import { converse, type Dialer } from '../frames.js'
import { encodeMessage } from '../message.js'
import type { BreachListener } from '../bans.js'
import type { ByteCounter, Label } from '../traffic.js'
import { takeChunk } from './chunk-answer.js'
import { BLOB_PROTOCOL, CHUNKS_AHEAD, MAX_CHUNK_FRAME_BYTES } from './constants.js'

/** Peers that may hold a blob, best first. */
export type Holders = Iterable<PeerId> | AsyncIterable<PeerId>

/** Its label is what the bytes are counted as, here and when they are served on; its job also where they come from. */
export interface PullOptions extends Label {
  readonly signal: AbortSignal
  /** Told of every chunk: how many bytes of the blob are here, and how many it has. */
  readonly onProgress?: (received: number, size: number) => void
}

export interface TransferInit extends Label {
  readonly manifest: Manifest
  readonly holders: Holders
  readonly counter: ByteCounter | undefined
  readonly breaches: BreachListener | undefined
  readonly idleTimeout: number
  /** Where it goes, as long as the blob. @default memory of its own */
  readonly into?: Uint8Array
}

/** One blob on its way here, for all who want it; given up when none of them wants it any more. */
export class Transfer {
  readonly done: Promise<Uint8Array>
  readonly #dialer: Dialer
  readonly #init: TransferInit
  readonly #missing: Set<number>
  readonly #wanted = new Set<PullOptions>()
  readonly #given = new AbortController()

  constructor (dialer: Dialer, init: TransferInit) {
    this.#dialer = dialer
    this.#init = init
    this.#missing = new Set(init.manifest.chunks.keys())
    this.done = unlessAborted(this.#run(), this.#given.signal)
  }

  async join (options: PullOptions): Promise<Uint8Array> {
    this.#wanted.add(options)
    try {
      return await unlessAborted(this.done, options.signal)
    } finally {
      this.#wanted.delete(options)
      if (this.#wanted.size === 0) this.#given.abort(options.signal.reason)
    }
  }

  async #run (): Promise<Uint8Array> {
    const { manifest: { id, size }, holders, into: bytes = new Uint8Array(size) } = this.#init
    const failures: Array<{ readonly holder: PeerId, readonly error: Error }> = []
    if (this.#missing.size === 0) return bytes
    for await (const holder of holders) {
      this.#given.signal.throwIfAborted()
      try {
        await this.#pullFrom(holder, bytes)
        return bytes
      } catch (error) {
        if (error instanceof InvalidTensorError) this.#init.breaches?.breach(holder, error.message)
        failures.push({ holder, error: error as Error })
      }
    }
    if (failures.length > 0 && failures.every(({ error }) => error instanceof RelayedOnlyError)) throw failures[0].error
    const reasons = failures.map(({ holder, error }) => `${holder.toString()}: ${error.message}`)
    throw new BlobUnavailableError(`nobody gave blob ${id} whole: ${reasons.join('; ') || 'no holder is known'}`)
  }

  /** Fills `bytes` with the chunks that are missing. */
  async #pullFrom (holder: PeerId, bytes: Uint8Array): Promise<void> {
    const { manifest, idleTimeout, kind, job, counter, breaches } = this.#init
    const init = { maxBytes: MAX_CHUNK_FRAME_BYTES, maxUnread: CHUNKS_AHEAD, timeout: idleTimeout, kind, job, counter, breaches, signal: this.#given.signal }
    const wanted = [...this.#missing]
    await converse(this.#dialer, holder, BLOB_PROTOCOL, init, async (frames, deadline) => {
      const ask = async (chunks: number[]): Promise<void> => {
        if (chunks.length > 0) await frames.write(encodeMessage({ id: manifest.id, chunks, ...(job !== undefined && { job }) }))
      }
      await ask(wanted.slice(0, CHUNKS_AHEAD))
      let verified = Promise.resolve()
      try {
        for (const [i, index] of wanted.entries()) {
          const place = chunkOf(bytes, manifest, index)
          takeChunk(await frames.readPieces(), place)
          deadline.touch()
          await ask(wanted.slice(i + CHUNKS_AHEAD, i + CHUNKS_AHEAD + 1))
          await verified // one chunk is hashed while the next one comes
          verified = this.#verify(index, place)
          verified.catch(() => {}) // is told where it is awaited
        }
      } finally {
        await verified // whoever goes on must know what is missing
      }
    })
  }

  async #verify (index: number, chunk: Uint8Array): Promise<void> {
    await verifyChunk(this.#init.manifest, index, chunk)
    this.#missing.delete(index)
    this.#progress()
  }

  #progress (): void {
    const { size, chunkSize } = this.#init.manifest
    const received = Math.max(0, size - this.#missing.size * chunkSize)
    for (const { onProgress } of this.#wanted) onProgress?.(received, size)
  }
}
