import { createCipheriv, randomBytes } from 'node:crypto'

/** A key of AES-256, in bytes. */
export const SECRET_BYTES = 32

/** What numbers are for: no two purposes share any. */
const STREAMS = { rows: 0, noise: 1 } as const
export type StreamPurpose = keyof typeof STREAMS

/** Bytes that are made at once. */
const BLOCK_BYTES = 1 << 12

/** From the operating system's cryptographic source. */
export function newSecret (): Uint8Array {
  return randomBytes(SECRET_BYTES)
}

/**
 * Numbers in [0, 1), multiples of 2⁻⁵³, that the arguments alone decide, and that who lacks the secret cannot tell from
 * random ones: AES-256 in counter mode (NIST SP 800-38A), of which each purpose and index have a stretch of their own.
 *
 * @param secret `SECRET_BYTES` long
 * @param index a whole number below 2³²
 */
export function secretNumbers (secret: Uint8Array, purpose: StreamPurpose, index: number): () => number {
  const start = Buffer.alloc(16) // purpose and index, and 8 bytes that count
  start.writeUInt32BE(STREAMS[purpose], 0)
  start.writeUInt32BE(index, 4)
  const cipher = createCipheriv('aes-256-ctr', secret, start)
  const zeros = Buffer.alloc(BLOCK_BYTES)
  let block = Buffer.alloc(0)
  let used = 0
  return () => {
    if (used === block.length) {
      block = cipher.update(zeros)
      used = 0
    }
    const [high, low] = [block.readUInt32LE(used) >>> 5, block.readUInt32LE(used + 4) >>> 6] // 27 and 26 bits
    used += 8
    return (high * 2 ** 26 + low) / 2 ** 53
  }
}
