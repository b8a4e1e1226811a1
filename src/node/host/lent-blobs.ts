import type { PeerId } from '@libp2p/interface'
import type { BlobStore } from '../../protocols/blob/index.js'
import type { EncodedPart } from './encoded-part.js'

/** A part of adaptation data, and whose steps have it: a trainer for each. */
interface Lent {
  readonly part: EncodedPart
  readonly to: readonly PeerId[]
  /** Chunks that each of them has been sent, by its id. */
  readonly sent: Map<string, Set<number>>
}

/** Parts of adaptation data as blobs. Several steps may have the same bytes, which are held once, until the last lets go of them. */
export class LentBlobs {
  readonly #store: Pick<BlobStore, 'add' | 'delete'>
  readonly #lent = new Map<string, Lent>()

  constructor (store: Pick<BlobStore, 'add' | 'delete'>) {
    this.#store = store
  }

  add (part: EncodedPart, trainer: PeerId): void {
    const { id } = part.manifest
    const lent = this.#lent.get(id)
    if (lent !== undefined) part.release?.()
    this.#hold(id, { part: lent?.part ?? part, to: [...lent?.to ?? [], trainer], sent: lent?.sent ?? new Map<string, Set<number>>() })
  }

  /** Bytes of it that a trainer has not been sent. */
  waiting (id: string, trainer: PeerId): number {
    const lent = this.#lent.get(id)
    if (lent === undefined) return 0
    const { size, chunkSize } = lent.part.manifest
    return Math.max(0, size - chunkSize * (lent.sent.get(trainer.toString())?.size ?? 0))
  }

  /** One of those that were added for a trainer. */
  delete (id: string, trainer: PeerId): void {
    const lent = this.#lent.get(id)
    const place = lent?.to.findIndex(other => other.equals(trainer)) ?? -1
    if (lent === undefined || place < 0) return
    const to = lent.to.toSpliced(place, 1)
    if (to.length > 0) {
      this.#hold(id, { ...lent, to })
      return
    }
    this.#lent.delete(id)
    this.#store.delete(id)
    lent.part.release?.()
  }

  #hold (id: string, lent: Lent): void {
    const { part: { manifest, bytes }, to, sent } = lent
    this.#lent.set(id, lent)
    this.#store.delete(id)
    this.#store.add({
      manifest, bytes, kind: 'adaptation', to, sent: (peer, chunk) => { sent.set(peer.toString(), (sent.get(peer.toString()) ?? new Set()).add(chunk)) }
    })
  }
}
