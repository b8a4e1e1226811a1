import { createHash } from 'node:crypto'
import type { DeltaWeights } from '../types.js'

/**
 * Names a ΔW: sha-256, in hex, over each site in the order of names (UTF-16 code units) as the JSON of `[name, shape]`
 * followed by its values in little-endian float32. Exact bits: 0 and −0 are told apart.
 */
export function deltaHash (delta: DeltaWeights): string {
  const hash = createHash('sha256')
  for (const [site, { shape, values }] of [...delta].sort(([a], [b]) => a < b ? -1 : 1)) {
    hash.update(JSON.stringify([site, shape]))
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)) // hosts are little-endian, see tensor/half.ts
  }
  return hash.digest('hex')
}
