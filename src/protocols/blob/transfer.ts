import type { PeerId } from '@libp2p/interface'
import { BlobUnavailableError, InvalidTensorError, RelayedOnlyError } from '../../errors.js'
import { chunkOf, type Manifest, verifyChunk } from '../../tensor/chunks.js'
import { unlessAborted } from '../deadline.js'
import { converse, type Dialer } from '../frames.js'
import { encodeMessage } from '../message.js'
import type { BreachListener } from '../bans.js'
import type { ByteCounter, Label } from '../traffic.js'
import { takeChunk } from './chunk-answer.js'
import { BLOB_PROTOCOL, CHUNKS_AHEAD, HOLDERS_AT_ONCE, MAX_CHUNK_FRAME_BYTES } from './constants.js'

/** Peers that may hold a blob, best first; the next is asked for when it is needed. */
export type Holders = Iterable<PeerId>

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

/**
 * One blob on its way here, for all who want it; given up when none of them wants it any more. Several holders are asked at once, for
 * different chunks, where the blob has more than one of them is asked for at a time.
 */
export class Transfer {
  readonly done: Promise<Uint8Array>
  readonly #dialer: Dialer
  readonly #init: TransferInit
  readonly #bytes: Uint8Array
  /** Chunks that are not here and verified yet. */
  readonly #missing: Set<number>
  /** Of these, chunks that nobody is asked for. */
  readonly #open: Set<number>
  readonly #failures: Array<{ readonly holder: PeerId, readonly error: Error }> = []
  readonly #wanted = new Set<PullOptions>()
  readonly #given = new AbortController()

  constructor (dialer: Dialer, init: TransferInit) {
    const { manifest: { size, chunks }, into = new Uint8Array(size) } = init
    this.#dialer = dialer
    this.#init = init
    this.#bytes = into
    this.#missing = new Set(chunks.keys())
    this.#open = new Set(chunks.keys())
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
    const holders = this.#init.holders[Symbol.iterator]()
    /** Who has given all that it was asked for, and may be asked for what others did not give. */
    const free: PeerId[] = []
    const pulls = new Set<Promise<void>>()
    while (this.#missing.size > 0) {
      this.#given.signal.throwIfAborted()
      const holder = this.#open.size > 0 && pulls.size < HOLDERS_AT_ONCE ? free.pop() ?? nextOf(holders) : undefined
      if (holder === undefined) {
        if (pulls.size === 0) throw this.#unavailable()
        await Promise.race(pulls)
        continue
      }
      const pull = this.#gives(holder).then(whole => {
        pulls.delete(pull)
        if (whole) free.push(holder)
      })
      pulls.add(pull)
    }
    holders.return?.()
    return this.#bytes
  }

  /** Whether a holder gives all that it is asked for. */
  async #gives (holder: PeerId): Promise<boolean> {
    try {
      await this.#pullFrom(holder)
      return true
    } catch (error) {
      if (error instanceof InvalidTensorError) this.#init.breaches?.breach(holder, error.message)
      this.#failures.push({ holder, error: error as Error })
      return false
    }
  }

  #unavailable (): Error {
    const failures = this.#failures
    if (failures.length > 0 && failures.every(({ error }) => error instanceof RelayedOnlyError)) return failures[0].error
    const reasons = failures.map(({ holder, error }) => `${holder.toString()}: ${error.message}`)
    return new BlobUnavailableError(`nobody gave blob ${this.#init.manifest.id} whole: ${reasons.join('; ') || 'no holder is known'}`)
  }

  /** Chunks that nobody else is asked for from now on. */
  #take (most: number): number[] {
    const taken: number[] = []
    for (const index of this.#open) {
      if (taken.length === most) break
      this.#open.delete(index)
      taken.push(index)
    }
    return taken
  }

  /** Pulls chunks as long as there are any to ask for. What the holder does not give is open to others again. */
  async #pullFrom (holder: PeerId): Promise<void> {
    const { manifest, idleTimeout, kind, job, counter, breaches } = this.#init
    const init = { maxBytes: MAX_CHUNK_FRAME_BYTES, maxUnread: CHUNKS_AHEAD, timeout: idleTimeout, kind, job, counter, breaches, signal: this.#given.signal }
    /** What it is asked for and has not given, in that order; taken before it is reached, so that others are asked for other chunks. */
    const asked = new Set(this.#take(CHUNKS_AHEAD))
    try {
      await converse(this.#dialer, holder, BLOB_PROTOCOL, init, async (frames, deadline) => {
        const ask = async (chunks: readonly number[]): Promise<void> => {
          if (chunks.length > 0) await frames.write(encodeMessage({ id: manifest.id, chunks, ...(job !== undefined && { job }) }))
        }
        await ask([...asked])
        let verified = Promise.resolve()
        try {
          for (const index of asked) { // and those that are added meanwhile
            const place = chunkOf(this.#bytes, manifest, index)
            takeChunk(await frames.readPieces(), place)
            deadline.touch()
            const more = this.#take(1)
            for (const next of more) asked.add(next)
            await ask(more)
            await verified // one chunk is hashed while the next one comes
            verified = this.#verify(index, place).then(() => { asked.delete(index) })
            verified.catch(() => {}) // is told where it is awaited
          }
        } finally {
          await verified // whoever goes on must know what is missing
        }
      })
    } finally {
      for (const index of asked) this.#open.add(index)
    }
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

function nextOf<T> (iterator: Iterator<T>): T | undefined {
  const next = iterator.next()
  return next.done === true ? undefined : next.value
}
