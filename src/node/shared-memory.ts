/** What is kept for later, in bytes, at most. */
const KEPT_BYTES = 512 << 20

/**
 * Memory that threads share, used again when it is given back: the system clears new memory page by page, which takes
 * longer than to fill it.
 */
export class SharedMemory {
  readonly #free = new Map<number, SharedArrayBuffer[]>()
  #bytes = 0

  /** May hold anything. */
  take (bytes: number): Uint8Array {
    const found = this.#free.get(bytes)?.pop()
    if (found !== undefined) this.#bytes -= bytes
    return new Uint8Array(found ?? new SharedArrayBuffer(bytes))
  }

  giveBack (memory: SharedArrayBuffer): void {
    const size = memory.byteLength
    if (size > KEPT_BYTES) return
    if (this.#bytes + size > KEPT_BYTES) this.#forget()
    this.#free.set(size, [...this.#free.get(size) ?? [], memory])
    this.#bytes += size
  }

  /** Batches of other shapes have come: what was kept may never be asked for again. */
  #forget (): void {
    this.#free.clear()
    this.#bytes = 0
  }
}
