import type { Weighted } from '../../src/merge/weighted.js'
import type { AuxiliarySpec, FloatTensor, Site } from '../../src/types.js'

/** Numbers in [0, 1) that the seed decides (mulberry32). */
export function seeded (seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export function shuffled<T> (items: readonly T[], random: () => number): T[] {
  const keyed = items.map(item => ({ item, key: random() }))
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item)
}

function tensor (shape: readonly number[], random: () => number): FloatTensor {
  const length = shape.reduce((product, size) => product * size, 1)
  return { shape, values: Float32Array.from({ length }, () => random() * 2 - 1) }
}

export function contribution (tokens: number, spec: AuxiliarySpec, sites: readonly Site[], random: () => number): Weighted {
  return {
    tokens,
    adapter: new Map(sites.map(({ name, inFeatures, outFeatures }) => [name, spec.kind === 'low-rank'
      ? new Map([['lora_A.weight', tensor([spec.rank, inFeatures], random)], ['lora_B.weight', tensor([outFeatures, spec.rank], random)]])
      : new Map([['weight', tensor([outFeatures, inFeatures], random)]])]))
  }
}
