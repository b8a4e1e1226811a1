import type { FloatTensor } from '../../src/types.js'

/** An integer from 0 to below `count`. */
export function below (count: number, random: () => number): number {
  return Math.floor(random() * count)
}

export function oneOf<T> (items: readonly T[], random: () => number): T {
  return items[below(items.length, random)]
}

export function randomBytes (length: number, random: () => number): Uint8Array {
  return Uint8Array.from({ length }, () => below(256, random))
}

/** A sha-256 in hex that nothing has. */
export function randomHash (random: () => number): string {
  return Buffer.from(randomBytes(32, random)).toString('hex')
}

/** Values in [-1, 1), in the shape `shape`. */
export function randomFloats (shape: readonly number[], random: () => number): FloatTensor {
  return { shape, values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => 2 * random() - 1) }
}
