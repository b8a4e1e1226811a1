import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'

/** One read, in bytes: large enough that what is around it costs nothing. */
const READ_BYTES = 1024 * 1024

/**
 * What the Hub says that a file's bytes hash to: of one in its large storage the sha-256, of any other what git calls it,
 * the sha-1 of `blob <size>`, a zero byte and the content.
 */
export interface Checksum {
  readonly kind: 'sha256' | 'git'
  /** In hex. */
  readonly value: string
}

/** To be fed with the content. @param size of the content, in bytes */
export function startHash (kind: Checksum['kind'], size: number): Hash {
  return kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`)
}

/**
 * Feeds it with the first bytes of a file.
 *
 * @param bytes how many
 * @param onBytes is told how many bytes were read, again and again
 */
export async function hashFile (path: string, hash: Hash, bytes: number, signal: AbortSignal, onBytes: (count: number) => void = () => {}): Promise<void> {
  if (bytes === 0) return
  for await (const chunk of createReadStream(path, { signal, end: bytes - 1, highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    onBytes(chunk.byteLength)
  }
}
