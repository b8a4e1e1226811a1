import { createHash } from 'node:crypto'

/** 0 … count − 1 in an order that the key alone decides (Fisher and Yates). */
export function randomOrder (count: number, key: string): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  const next = randomNumbers(key)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1))
    const kept = order[i]
    order[i] = order[j]
    order[j] = kept
  }
  return order
}

/** Numbers in [0, 1): sfc32 (Doty-Humphrey's PractRand), seeded by a hash of the key. */
function randomNumbers (key: string): () => number {
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
