import { secretNumbers } from '../../tensor/secret-stream.js'

/** Normal numbers that make up one. */
const SUMMANDS = 4

/**
 * Numbers of N(0, deviation²) for one fit, as a stream that the secret and the fit alone decide. Each is made of four, as in
 * Opacus's secure mode: how floats are spaced tells less of what was added than with one (Holohan and Braghin 2021, arXiv 2107.10138).
 *
 * @returns so many of the next numbers, each in float64 and rounded once
 */
export function gaussianNoise (secret: Uint8Array, fit: number, deviation: number): (count: number) => Float32Array {
  const next = normalNumbers(secretNumbers(secret, 'noise', fit))
  return count => Float32Array.from({ length: count }, () => {
    let sum = 0
    for (let i = 0; i < SUMMANDS; i++) sum += next()
    return sum * deviation / Math.sqrt(SUMMANDS)
  })
}

/** Box and Muller, two at a time. */
function normalNumbers (uniform: () => number): () => number {
  let second: number | undefined
  return () => {
    if (second !== undefined) {
      const kept = second
      second = undefined
      return kept
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()))
    const angle = 2 * Math.PI * uniform()
    second = radius * Math.sin(angle)
    return radius * Math.cos(angle)
  }
}
