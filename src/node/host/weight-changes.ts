import { isMergeable, rankAt, scaleAt } from '../../auxiliary-spec.js'
import { InvalidAdapterError } from '../../errors.js'
import { stack } from '../../merge/stack.js'
import type { Weighted } from '../../merge/weighted.js'
import type { WeightChange } from '../../model/merge.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, Site } from '../../types.js'

/** The mean of the members' ΔW, as one product of stacked factors where they have factors. */
export function meanChange (members: readonly Weighted[], sites: readonly Site[]): Map<string, WeightChange> {
  const stacked = stack(members, sites)
  return stacked === undefined ? new Map<string, WeightChange>() : changesOf(stacked.spec, stacked.tensors, sites)
}

/**
 * What an adapter changes in the weights of those of the sites that it has.
 *
 * @throws {InvalidAdapterError} if it lacks a parameter or has it in another shape, or its auxiliaries are not linear in x
 */
export function changesOf (spec: AuxiliarySpec, adapter: AdapterTensors, sites: readonly Site[]): Map<string, WeightChange> {
  const { kind } = spec
  if (!isMergeable(spec)) throw new InvalidAdapterError(`${kind} auxiliaries cannot be merged into weights; run them beside the base model`)
  return new Map(having(adapter, sites).map(site => [site.name, kind === 'linear'
    ? { scale: scaleAt(spec, site.name), weight: tensorNamed(adapter, site.name, 'weight', [site.outFeatures, site.inFeatures]) }
    : productAt(spec, adapter, site)]))
}

/** α·B·A of those of the sites that an adapter with factors has. Throws as `changesOf` does. */
export function productsOf (spec: AuxiliarySpec, adapter: AdapterTensors, sites: readonly Site[]): Map<string, WeightChange> {
  return new Map(having(adapter, sites).map(site => [site.name, productAt(spec, adapter, site)]))
}

function productAt (spec: AuxiliarySpec, adapter: AdapterTensors, { name, inFeatures, outFeatures }: Site): WeightChange {
  const rank = rankAt(spec, name)
  const tensor = (parameter: string, shape: readonly number[]): FloatTensor => tensorNamed(adapter, name, parameter, shape)
  return { scale: scaleAt(spec, name), a: tensor('lora_A.weight', [rank, inFeatures]), b: tensor('lora_B.weight', [outFeatures, rank]) }
}

function having (adapter: AdapterTensors, sites: readonly Site[]): Site[] {
  return sites.filter(({ name }) => adapter.has(name))
}

/** A parameter in its shape. @throws {InvalidAdapterError} if the adapter has none */
export function tensorNamed (adapter: AdapterTensors, site: string, parameter: string, shape: readonly number[]): FloatTensor {
  const tensor = adapter.get(site)?.get(parameter)
  if (tensor?.shape.join() !== shape.join()) throw new InvalidAdapterError(`the adapter has no ${site}.${parameter} of [${shape.join(', ')}]`)
  return tensor
}
