import { isMergeable, rankAt, rescaled, scaleAt } from '../auxiliary-spec.js'
import type { AdapterTensors, AuxiliarySpec, AuxiliaryTensors, Site } from '../types.js'
import { meanOfProducts } from './mean-of-products.js'
import { stackedFactors } from './stacked-factors.js'
import { parameterOf, type Part, partsAt, type Weighted } from './weighted.js'

/** One trainer's auxiliaries, or those of several as one, and their shape. */
export interface StackedAdapter {
  readonly spec: AuxiliarySpec
  readonly tensors: AdapterTensors
}

/**
 * One adapter for the mean of products: factors stacked to rank R = Σ r_k, the weights inside B, so that B·A = Σ p_k·α_k·B_k·A_k / α,
 * exact but for their rounding to float32; where there is a linear auxiliary among them, the mean itself.
 *
 * @returns undefined where no member has an auxiliary at the sites that is linear in x
 * @throws {InvalidAdapterError} if an adapter lacks a parameter or has it in another shape
 */
export function stack (members: readonly Weighted[], sites: readonly Site[]): StackedAdapter | undefined {
  const mergeable = members.filter(({ spec }) => isMergeable(spec))
  const having = sites.filter(({ name }) => mergeable.some(({ adapter }) => adapter.has(name)))
  if (having.length === 0) return undefined
  if (members.length === 1) return { spec: members[0].spec, tensors: members[0].adapter }
  return mergeable.some(({ spec }) => spec.kind === 'linear') ? meanOf(members, having) : stackSites(members, having)
}

/**
 * Members' auxiliaries as they are beside one another, each one's share in its α, so that their sum is Σ p_k·α_k·g_k.
 *
 * @param wanted which of them; all have their shares
 */
export function besideOneAnother (members: readonly Weighted[], wanted: (spec: AuxiliarySpec) => boolean): StackedAdapter[] {
  return members.filter(({ spec }) => wanted(spec)).map(member => shared(members, member)).filter(({ tensors }) => tensors.size > 0)
}

/** ΔW itself, as a linear auxiliary. */
function meanOf (members: readonly Weighted[], sites: readonly Site[]): StackedAdapter {
  return {
    spec: { kind: 'linear', rank: 1, alpha: 1 },
    tensors: new Map([...meanOfProducts(members, sites)].map(([site, weight]) => [site, new Map([['weight', weight]])]))
  }
}

function stackSites (members: readonly Weighted[], sites: readonly Site[]): StackedAdapter {
  const stacked = sites.map(site => {
    const { own, rank, scale } = stackSite(partsAt(members, site.name).filter(({ spec }) => isMergeable(spec)), site)
    return { name: site.name, own, rank, alpha: scale * rank }
  })
  const [{ rank, alpha }] = stacked
  const ranks = stacked.filter(own => own.rank !== rank).map(own => [own.name, own.rank] as const)
  const alphas = stacked.filter(own => own.alpha !== alpha).map(own => [own.name, own.alpha] as const)
  return {
    spec: { kind: 'low-rank', rank, alpha, ...(ranks.length > 0 && { ranks: Object.fromEntries(ranks) }), ...(alphas.length > 0 && { alphas: Object.fromEntries(alphas) }) },
    tensors: new Map(stacked.map(({ name, own }) => [name, own]))
  }
}

/** @returns the factors, their rank, and the α that is beside them: that of the first, to which the others' are relative */
function stackSite (parts: readonly Part[], { name, inFeatures, outFeatures }: Site): { own: AuxiliaryTensors, rank: number, scale: number } {
  const scale = scaleAt(parts[0].spec, name)
  const { a, b } = stackedFactors(parts.map(part => {
    const rank = rankAt(part.spec, name)
    return {
      a: { shape: [rank, inFeatures], values: parameterOf(part, name, 'lora_A.weight', [rank, inFeatures]) },
      b: { shape: [outFeatures, rank], values: parameterOf(part, name, 'lora_B.weight', [outFeatures, rank]) },
      scale: part.share * (scaleAt(part.spec, name) / scale)
    }
  }))
  return { own: new Map([['lora_A.weight', a], ['lora_B.weight', b]]), rank: a.shape[0], scale }
}

/** Sites at which a member has no share are left out. */
function shared (members: readonly Weighted[], member: Weighted): StackedAdapter {
  const { spec, adapter } = member
  const shares = new Map([...adapter.keys()].map(site => {
    const having = members.filter(other => other.adapter.has(site))
    return [site, partsAt(members, site)[having.indexOf(member)].share] as const
  }))
  if ([...shares.values()].every(share => share === 1)) return { spec, tensors: adapter }
  const tensors = new Map([...adapter].filter(([site]) => shares.get(site) !== 0))
  return { spec: rescaled(spec, tensors.keys(), site => shares.get(site) ?? 1), tensors }
}
