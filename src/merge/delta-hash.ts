import { createHash } from 'node:crypto'
import { outerScaleAt, scaleAt } from '../auxiliary-spec.js'
import type { DeltaWeights, FloatTensor } from '../types.js'
import type { StackedAdapter } from './stack.js'

/**
 * Names a ΔW: sha-256, in hex, over each site in the order of names (UTF-16 code units) as the JSON of `[name, shape]`
 * followed by its values in little-endian float32. Exact bits: 0 and −0 are told apart.
 *
 * @param beside auxiliaries that are no ΔW, in order: each parameter follows as the JSON of `[site, parameter, α, shape]` and its values, where g has its α
 * within of `[site, parameter, α, share, shape]`
 */
export function deltaHash (delta: DeltaWeights, beside: readonly StackedAdapter[] = []): string {
  const hash = createHash('sha256')
  const add = (head: readonly unknown[], { shape, values }: FloatTensor): void => {
    hash.update(JSON.stringify([...head, shape]))
    hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength)) // hosts are little-endian, see tensor/half.ts
  }
  for (const [site, tensor] of bySite(delta)) add([site], tensor)
  for (const { spec, tensors } of beside) {
    for (const [site, own] of bySite(tensors)) {
      for (const [parameter, tensor] of own) add([site, parameter, scaleAt(spec, site), ...(spec.kind === 'dora' ? [outerScaleAt(spec, site)] : [])], tensor)
    }
  }
  return hash.digest('hex')
}

function bySite<T> (all: ReadonlyMap<string, T>): Array<[string, T]> {
  return [...all].sort(([a], [b]) => a < b ? -1 : 1)
}
