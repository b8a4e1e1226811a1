import type { PeerId } from '@libp2p/interface'
import { type Manifest, manifestOf } from '../../tensor/chunks.js'
import { STORE_BYTES } from './constants.js'

/** A blob that is held, and what its bytes are counted as when others pull it. */
export interface HeldBlob {
  readonly manifest: Manifest
  /** Not to be changed. */
  readonly bytes: Uint8Array
  readonly kind: string
  /** Who alone may pull it. @default anyone */
  readonly to?: readonly PeerId[]
  /** Is told of each chunk that was sent. */
  readonly sent?: (to: PeerId, chunk: number) => void
}

/** Blobs in memory, by their ids. When they outgrow it, those leave that were not used for longest. */
export class BlobStore {
  /** In the order of use. */
  readonly #blobs = new Map<string, HeldBlob>()
  readonly #maxBytes: number
  #bytes = 0

  /** @param maxBytes that all blobs together may take; the newest stays even if it takes more alone */
  constructor (maxBytes = STORE_BYTES) {
    this.#maxBytes = maxBytes
  }

  /**
   * @param bytes not to be changed afterwards
   * @param kind what they are counted as when others pull them
   */
  put (bytes: Uint8Array, kind: string): Manifest {
    const manifest = manifestOf(bytes)
    this.add({ manifest, bytes, kind })
    return manifest
  }

  /** Holds a blob whose manifest is known to be right. */
  add (blob: HeldBlob): void {
    if (this.get(blob.manifest.id) !== undefined) return
    this.#blobs.set(blob.manifest.id, blob)
    this.#bytes += blob.bytes.byteLength
    for (const id of this.#blobs.keys()) {
      if (this.#bytes <= this.#maxBytes || this.#blobs.size === 1) return
      this.delete(id)
    }
  }

  /** Holds it no longer. */
  delete (id: string): void {
    this.#bytes -= this.#blobs.get(id)?.bytes.byteLength ?? 0
    this.#blobs.delete(id)
  }

  get (id: string): HeldBlob | undefined {
    const blob = this.#blobs.get(id)
    if (blob !== undefined) {
      this.#blobs.delete(id)
      this.#blobs.set(id, blob)
    }
    return blob
  }
}
