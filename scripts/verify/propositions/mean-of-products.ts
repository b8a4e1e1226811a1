import { isMergeableKind } from '../../../src/auxiliary-spec.js'
import { meanOfProducts as productOfMembers } from '../../../src/merge/mean-of-products.js'
import { stack } from '../../../src/merge/stack.js'
import { AUXILIARY_KINDS, type AuxiliaryKind, type AuxiliarySpec, type AuxiliaryTensors, type FloatTensor, type Site } from '../../../src/types.js'
import { relativeError } from '../../../test/support/compare.js'
import { alphaAt } from '../formulas.js'
import type { Proposition } from '../proposition.js'
import { sharesOf } from '../share.js'
import type { Trainer } from '../trainer.js'

/** Kinds that the members of one job may have; those that are no ΔW add nothing to it, but have their shares. */
const MIXTURES: ReadonlyArray<readonly AuxiliaryKind[]> = [...AUXILIARY_KINDS.filter(isMergeableKind).map(kind => [kind]), ['low-rank', 'linear'], ['low-rank', 'mlp']]

/** ΔW = Σ p_k·α_k·B_k·A_k with p_k a member's share of all tokens: products are averaged, and not the factors apart. */
export const meanOfProducts: Proposition = {
  name: 'collaboration\'s ΔW equals the mean of products',
  source: 'arXiv 2404.13844, section 3: collaborative adaptation',
  bound: 1e-6,
  reason: 'summed in float64 and rounded to float32 once, or where factors are stacked p_k·B_k is',
  async * cases (scene) {
    for (const kinds of MIXTURES) {
      const job = scene.job({ kinds, mode: 'collaboration', merge: 'during' })
      const members: Trainer[] = []
      for (const kind of [...kinds, ...kinds, scene.oneOf(kinds)]) members.push(await scene.member(job, { kind, sites: scene.someOf(job.sites) }))
      const sites = scene.model.info.sites.filter(({ name }) => members.some(({ adapter }) => adapter.has(name)))
      const [summed, stacked] = [productOfMembers(members, sites), stack(members, sites)]
      const shares = sharesOf(members)
      for (const site of sites) {
        const { name } = site
        const having = shares.filter(({ spec, adapter }) => isMergeableKind(spec.kind) && adapter.has(name))
        const expected = sumOf(site, having.map(({ spec, adapter, shareAt }) => productOf(spec, site, adapter.get(name)).map(value => value * shareAt(name))))
        const title = `${scene.title}, ${kinds.join('~')}, ${members.length} members`
        yield { name: `${title}, summed, ${name}`, error: relativeError(summed.get(name)?.values ?? [], expected) }
        const own = stacked?.tensors.get(name)
        if (having.length > 0) yield { name: `${title}, stacked, ${name}`, error: stacked === undefined ? Infinity : relativeError(productOf(stacked.spec, site, own), expected) }
      }
    }
  }
}

/** α·B·A, or α·W, in float64, `[out, in]`. */
function productOf (spec: AuxiliarySpec, site: Site, auxiliary: AuxiliaryTensors | undefined): Float64Array {
  const tensor = (name: string): FloatTensor => auxiliary?.get(name) ?? { shape: [0, 0], values: new Float32Array() }
  return productIn64(spec.kind, tensor, site).map(value => alphaAt(spec, site.name) * value)
}

function productIn64 (kind: AuxiliaryKind, tensor: (name: string) => FloatTensor, { inFeatures, outFeatures }: Site): Float64Array {
  if (kind === 'linear') return Float64Array.from(tensor('weight').values)
  if (kind !== 'low-rank') throw new Error(`what the ΔW of auxiliaries of kind ${kind} is, is not written out in scripts/verify/propositions/mean-of-products.ts`)
  const [a, b] = [tensor('lora_A.weight'), tensor('lora_B.weight')]
  const [rank] = a.shape
  return Float64Array.from({ length: outFeatures * inFeatures }, (_, at) => {
    const [o, i] = [Math.floor(at / inFeatures), at % inFeatures]
    let sum = 0
    for (let r = 0; r < rank; r++) sum += b.values[o * rank + r] * a.values[r * inFeatures + i]
    return sum
  })
}

function sumOf ({ inFeatures, outFeatures }: Site, terms: readonly Float64Array[]): Float64Array {
  return terms.reduce((sum, own) => sum.map((value, i) => value + own[i]), new Float64Array(outFeatures * inFeatures))
}
