import { createHash } from 'node:crypto'

/** Numbers in [0, 1) that the key alone decides: sfc32 (Doty-Humphrey's PractRand), seeded by a hash of the key. */
export function randomNumbers (key: string): () => number {
  const digest = createHash('sha256').update(key).digest()
  let [a, b, c, counter] = [0, 4, 8, 12].map(offset => digest.readInt32LE(offset))
  return () => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return (sum >>> 0) / 2 ** 32
  }
}
