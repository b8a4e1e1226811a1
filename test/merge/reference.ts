import type { Weighted } from '../../src/merge/weighted.js'
import type { AuxiliarySpec, Site } from '../../src/types.js'

/** Rank and α of a site, as PEFT has them. */
export function shapeAt ({ rank, alpha, ranks = {}, alphas = {}, rankStabilised = false }: AuxiliarySpec, site: string): { rank: number, scale: number } {
  const own = site in ranks ? ranks[site] : rank
  return { rank: own, scale: (site in alphas ? alphas[site] : alpha) / (rankStabilised ? Math.sqrt(own) : own) }
}

/** p_k of each member at a site: its tokens among those of all that have an auxiliary there; 0 of those that have none. */
export function sharesAt (members: readonly Weighted[], site: string): number[] {
  const having = members.filter(({ adapter }) => adapter.has(site))
  const total = having.reduce((sum, { tokens }) => sum + tokens, 0)
  return members.map(member => !having.includes(member) ? 0 : total === 0 ? 1 / having.length : member.tokens / total)
}

/** Σ p_k·α_k·B_k·A_k, of a linear auxiliary p_k·α_k·W_k, of an MLP nothing, number by number from the formula. */
export function meanProductAt (members: readonly Weighted[], { name, inFeatures, outFeatures }: Site): number[] {
  const shares = sharesAt(members, name)
  return Array.from({ length: outFeatures * inFeatures }, (_, at) => {
    const [o, i] = [Math.floor(at / inFeatures), at % inFeatures]
    let sum = 0
    for (const [k, { spec, adapter }] of members.entries()) {
      const own = adapter.get(name)
      if (own === undefined || spec.kind === 'mlp') continue
      const { rank, scale } = shapeAt(spec, name)
      if (spec.kind === 'linear') {
        sum += shares[k] * scale * own.get('weight')!.values[at]
        continue
      }
      const [a, b] = [own.get('lora_A.weight')!.values, own.get('lora_B.weight')!.values]
      for (let r = 0; r < rank; r++) sum += shares[k] * scale * b[o * rank + r] * a[r * inFeatures + i]
    }
    return sum
  })
}
