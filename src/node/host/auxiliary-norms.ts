import { needNorms } from '../../auxiliary-spec.js'
import type { StackedAdapter } from '../../merge/stack.js'
import type { BaseModel } from '../../model/base-model.js'
import type { AdapterTensors, AuxiliaryTensors, FloatTensor } from '../../types.js'
import { productsOf } from './weight-changes.js'

/** Norms of the rows of W + αBA, `[out]`, by the auxiliary of a site. */
export type AuxiliaryNorms = ReadonlyMap<AuxiliaryTensors, FloatTensor>

/**
 * What those of the adapters divide by that divide by norms: each auxiliary's once.
 *
 * @throws {InvalidAdapterError} if one has factors of other shapes than the model's
 */
export async function auxiliaryNorms (model: Pick<BaseModel, 'info' | 'weightNorms'>, adapters: readonly StackedAdapter[]): Promise<AuxiliaryNorms> {
  const norms = new Map<AuxiliaryTensors, FloatTensor>()
  for (const { spec, tensors } of adapters) {
    if (!needNorms([spec.kind])) continue
    const sites = model.info.sites.filter(({ name }) => {
      const own = tensors.get(name)
      return own !== undefined && !norms.has(own)
    })
    for (const [site, norm] of await model.weightNorms(productsOf(spec, tensors, sites))) {
      const own = tensors.get(site)
      if (own !== undefined) norms.set(own, norm)
    }
  }
  return norms
}

/** Those of one adapter, by site. */
export function normsAt (adapter: AdapterTensors, norms: AuxiliaryNorms): Map<string, FloatTensor> {
  return new Map([...adapter].flatMap(([site, own]) => {
    const norm = norms.get(own)
    return norm === undefined ? [] : [[site, norm] as const]
  }))
}
