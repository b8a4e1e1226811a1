import type { AdapterTensors, AuxiliarySpec, AuxiliaryTensors, Site } from '../types.js'
import { meanOfParameters } from './mean-of-parameters.js'
import { parameterOfEach, shares, type Weighted } from './weighted.js'

/** Auxiliaries of every site, and their shape. */
export interface StackedAdapter {
  readonly spec: AuxiliarySpec
  readonly tensors: AdapterTensors
}

/**
 * One adapter for the mean of products: factors stacked to rank K·r, the weights inside B, so that B·A = Σ p_k·B_k·A_k,
 * exact but for the rounding of p_k·B_k to float32. Linear auxiliaries, which have no factors, are averaged.
 *
 * @param contributions one at least
 * @throws {InvalidAdapterError} if an adapter lacks a parameter or has it in another shape
 */
export function stack (contributions: readonly Weighted[], spec: AuxiliarySpec, sites: readonly Site[]): StackedAdapter {
  if (spec.kind === 'linear') return { spec, tensors: meanOfParameters(contributions) }
  const weights = shares(contributions)
  const count = contributions.length
  return {
    spec: { ...spec, rank: spec.rank * count, alpha: spec.alpha * count },
    tensors: new Map(sites.map(site => [site.name, stackSite(contributions, weights, site, spec.rank)]))
  }
}

function stackSite (contributions: readonly Weighted[], weights: readonly number[], { name, inFeatures, outFeatures }: Site, rank: number): AuxiliaryTensors {
  const as = parameterOfEach(contributions, name, 'lora_A.weight', [rank, inFeatures])
  const bs = parameterOfEach(contributions, name, 'lora_B.weight', [outFeatures, rank])
  const stacked = contributions.length * rank
  const a = new Float32Array(stacked * inFeatures) // [K·r, in]
  const b = new Float32Array(outFeatures * stacked) // [out, K·r]
  for (const [k, own] of as.entries()) a.set(own, k * rank * inFeatures)
  for (const [k, own] of bs.entries()) {
    for (let o = 0; o < outFeatures; o++) {
      for (let r = 0; r < rank; r++) b[o * stacked + k * rank + r] = weights[k] * own[o * rank + r]
    }
  }
  return new Map([['lora_A.weight', { shape: [stacked, inFeatures], values: a }], ['lora_B.weight', { shape: [outFeatures, stacked], values: b }]])
}
