import { createHash, webcrypto } from 'node:crypto'
import { InvalidTensorError } from '../errors.js'

/**
 * How long a chunk is, and the longest that it may be, in bytes: small enough that a few in flight fill no memory,
 * large enough that what is around them costs nothing.
 */
export const CHUNK_BYTES = 512 * 1024

/** The largest blob that is announced or accepted, in bytes. */
export const MAX_BLOB_BYTES = 512 * 1024 * 1024

/** A manifest of so many hashes takes half of what may be gossiped at once. */
export const MAX_CHUNKS = MAX_BLOB_BYTES / CHUNK_BYTES

/** What must be known to pull a blob from someone who is not trusted. */
export interface Manifest {
  /** Sha-256, in hex, over the chunks' hashes and the two lengths: a name that no other content can have. */
  readonly id: string
  /** In bytes. */
  readonly size: number
  /** In bytes; the last chunk may be shorter. */
  readonly chunkSize: number
  /** Sha-256 of each chunk. */
  readonly chunks: readonly Uint8Array[]
}

/** @throws {InvalidTensorError} if the bytes are more than `MAX_BLOB_BYTES` or fall into too many chunks */
export function manifestOf (bytes: Uint8Array, chunkSize = CHUNK_BYTES): Manifest {
  const lengths = { size: bytes.byteLength, chunkSize }
  const chunks = Array.from({ length: chunkCount(lengths) }, (_, i) => sha256(chunkOf(bytes, lengths, i)))
  return { id: manifestId({ ...lengths, chunks }), ...lengths, chunks }
}

/** A chunk of a whole blob, as a view. */
export function chunkOf (bytes: Uint8Array, { chunkSize }: Pick<Manifest, 'chunkSize'>, index: number): Uint8Array {
  return bytes.subarray(index * chunkSize, (index + 1) * chunkSize)
}

/** Call it before memory is taken for a blob. @throws {InvalidTensorError} if the manifest contradicts itself or is of too much */
export function checkManifest (manifest: Manifest): void {
  const { id, size, chunks } = manifest
  if (chunks.length !== chunkCount(manifest)) throw new InvalidTensorError(`a blob of ${size} bytes does not have ${chunks.length} chunks of ${manifest.chunkSize}`)
  if (id !== manifestId(manifest)) throw new InvalidTensorError(`manifest ${id} is not that of its chunks`)
}

/**
 * Hashes a chunk on another thread. The bytes are looked at before it returns its promise, and may be changed then.
 *
 * @throws {InvalidTensorError} if a chunk has not the length or the hash that the manifest gives it
 */
export async function verifyChunk ({ id, size, chunkSize, chunks }: Manifest, index: number, bytes: Uint8Array): Promise<void> {
  const length = Math.min(chunkSize, size - index * chunkSize)
  if (bytes.byteLength !== length) throw new InvalidTensorError(`chunk ${index} of ${id} has ${bytes.byteLength} bytes, it must have ${length}`)
  if (!Buffer.from(await webcrypto.subtle.digest('SHA-256', bytes)).equals(chunks[index])) throw new InvalidTensorError(`chunk ${index} of ${id} has the wrong hash`)
}

function chunkCount ({ size, chunkSize }: Pick<Manifest, 'size' | 'chunkSize'>): number {
  if (!Number.isSafeInteger(size) || size < 0 || size > MAX_BLOB_BYTES) throw new InvalidTensorError(`a blob of ${size} bytes; at most ${MAX_BLOB_BYTES} are accepted`)
  if (!Number.isSafeInteger(chunkSize) || chunkSize < 1 || chunkSize > CHUNK_BYTES) throw new InvalidTensorError(`chunks of ${chunkSize} bytes; from 1 to ${CHUNK_BYTES} are accepted`)
  const count = Math.ceil(size / chunkSize)
  if (count > MAX_CHUNKS) throw new InvalidTensorError(`${count} chunks; at most ${MAX_CHUNKS} are accepted`)
  return count
}

function manifestId ({ size, chunkSize, chunks }: Omit<Manifest, 'id'>): string {
  const hash = createHash('sha256')
  for (const chunk of chunks) hash.update(chunk)
  return hash.update(`${size}/${chunkSize}`).digest('hex')
}

function sha256 (bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
