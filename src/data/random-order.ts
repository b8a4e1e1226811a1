import { randomNumbers } from '../tensor/random-numbers.js'

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
