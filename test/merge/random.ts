import { rankAt } from '../../src/auxiliary-spec.js'
import type { Weighted } from '../../src/merge/weighted.js'
import type { AuxiliaryKind, AuxiliarySpec, FloatTensor, Site } from '../../src/types.js'

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

/** Parameters of a site's auxiliary with their shapes, and with the bound of their values. */
const PARAMETERS: Record<AuxiliaryKind, (site: Site, rank: number) => ReadonlyArray<readonly [name: string, shape: readonly number[], bound: number]>> = {
  'low-rank': ({ inFeatures, outFeatures }, rank) => [['lora_A.weight', [rank, inFeatures], 1], ['lora_B.weight', [outFeatures, rank], 1]],
  linear: ({ inFeatures, outFeatures }) => [['weight', [outFeatures, inFeatures], 1]],
  mlp: ({ inFeatures, outFeatures }) => [[inFeatures, 128], [128, 256], [256, outFeatures]].flatMap(([from, to], n) => [
    [`layers.${n}.weight`, [to, from], 1 / Math.sqrt(from)] as const, // so that what it gives is about as large as x
    [`layers.${n}.bias`, [to], 1 / Math.sqrt(from)] as const
  ]),
  ia3: ({ outFeatures }) => [['ia3_l', [outFeatures, 1], 1]],
  dora: ({ inFeatures, outFeatures }, rank) => [['lora_A.weight', [rank, inFeatures], 1], ['lora_B.weight', [outFeatures, rank], 1], ['lora_magnitude_vector', [outFeatures], 1]]
}

function tensor (shape: readonly number[], bound: number, random: () => number): FloatTensor {
  const length = shape.reduce((product, size) => product * size, 1)
  return { shape, values: Float32Array.from({ length }, () => bound * (random() * 2 - 1)) }
}

export function contribution (tokens: number, spec: AuxiliarySpec, sites: readonly Site[], random: () => number): Weighted {
  return {
    tokens,
    spec,
    adapter: new Map(sites.map(site => [site.name, new Map(PARAMETERS[spec.kind](site, rankAt(spec, site.name)).map(([name, shape, bound]) => [name, tensor(shape, bound, random)]))]))
  }
}
