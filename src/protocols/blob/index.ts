/**
 * Pulls content by its hash from whoever holds it. The asker names a blob and some of its chunks, the holder sends
 * them, and a few are under way at once. Every chunk is checked on arrival, so that a holder need not be trusted:
 * what a bad one did not give, others are asked for.
 *
 * @example
 * ```ts
 * const store = new BlobStore()
 * const blobs = blob({ store })(node)
 * await blobs.start()
 * store.put(bytes, 'adaptation')                                        // is served from now on
 * const pulled = await blobs.pull(manifest, [hostId], { kind: 'adaptation', signal: AbortSignal.timeout(30_000) })
 * ```
 */
import type { Startable } from '@libp2p/interface'
import type { Manifest } from '../../tensor/chunks.js'
import { type BlobComponents, BlobExchange, type BlobInit } from './blob-exchange.js'
import type { Holders, PullOptions } from './transfer.js'

export interface Blobs extends Startable {
  /**
   * The whole blob, from the own store or from the first holders that give it. It is in the store afterwards, so that
   * this peer is a holder too. Pulls of one blob at the same time share one transfer. Not to be changed.
   *
   * @param holders a few are asked at once, each for other chunks; the next where one fails, or there is more than these are asked for
   * @throws {InvalidTensorError} if the manifest contradicts itself
   * @throws {BlobUnavailableError} if no holder gave it whole, with each one's reason
   * @throws {RelayedOnlyError} if each is reached through a relay only
   */
  pull (manifest: Manifest, holders: Holders, options: PullOptions): Promise<Uint8Array>

  /**
   * Pulls a blob to where the caller wants it, and does not hold it: memory that is used again and again costs much less
   * than new memory. Throws what `pull` throws; anything may be there then.
   *
   * @param into as long as the blob
   * @throws {InvalidTensorError} if it is not
   */
  pullInto (into: Uint8Array, manifest: Manifest, holders: Holders, options: PullOptions): Promise<void>
}

export function blob (init: BlobInit): (components: BlobComponents) => Blobs {
  return components => new BlobExchange(components, init)
}

export type { BlobComponents, BlobInit, Holders, PullOptions }
export { BlobStore, type HeldBlob } from './blob-store.js'
export { BLOB_PROTOCOL } from './constants.js'
