import { isMergeable, seenBy } from '../auxiliary-spec.js'
import { parameterShapes } from '../gl/auxiliary.js'
import type { Adapter } from '../gl/peft/adapter.js'
import { joinBlocks, type RowBlock } from '../gl/row-blocks.js'
import type { BaseModel } from '../model/base-model.js'
import type { Beside } from '../model/beside.js'
import type { WeightChange } from '../model/merge.js'
import { selectSites } from '../model/sites.js'
import { type AuxiliaryNorms, auxiliaryNorms, normsAt } from '../node/host/auxiliary-norms.js'
import { changesOf, tensorNamed } from '../node/host/weight-changes.js'
import type { Site } from '../types.js'

/** What an adapter folder does to a model: merged into its weights, or beside them. */
export interface LoadedAdapter {
  readonly changes: ReadonlyMap<string, WeightChange>
  /** For passes of so many rows; undefined where there is nothing. */
  readonly beside: ((rows: number) => Beside) | undefined
}

export const NO_ADAPTER: LoadedAdapter = { changes: new Map(), beside: undefined }

export interface LoadOptions {
  /** Whether all of it runs beside the base model, also what could be merged. @default false */
  readonly unmerged?: boolean
}

/**
 * What an adapter folder does to a model. What can be merged is, and the rest runs beside; all of it where an auxiliary sees what
 * its module gives by itself.
 *
 * @throws {UnknownSiteError} or {InvalidAdapterError} if the adapter is not one for this model
 */
export async function loadedAdapter (model: Pick<BaseModel, 'info' | 'weightNorms'>, adapters: readonly Adapter[], { unmerged: asked = false }: LoadOptions = {}): Promise<LoadedAdapter> {
  const sites = selectSites(model.info, [...new Set(adapters.flatMap(({ tensors }) => [...tensors.keys()]))])
  for (const adapter of adapters) checkFits(adapter, sites)
  const unmerged = asked || adapters.some(({ spec: { kind } }) => seenBy(kind) !== undefined)
  const first = unmerged ? undefined : adapters.find(({ spec }) => isMergeable(spec))
  const others = adapters.filter(adapter => adapter !== first)
  return {
    changes: first === undefined ? new Map() : changesOf(first.spec, first.tensors, sites),
    beside: others.length === 0 ? undefined : besideOf(others, sites, await auxiliaryNorms(model, others))
  }
}

function checkFits ({ spec, tensors }: Adapter, sites: readonly Site[]): void {
  for (const site of sites) {
    if (!tensors.has(site.name)) continue
    for (const [parameter, shape] of parameterShapes(spec, site)) tensorNamed(tensors, site.name, parameter, shape)
  }
}

function besideOf (adapters: readonly Adapter[], sites: readonly Site[], norms: AuxiliaryNorms): (rows: number) => Beside {
  const own: RowBlock['own'] = adapters.map(({ spec, tensors }) => ({ spec, adapter: tensors, norms: normsAt(tensors, norms) }))
  return rows => joinBlocks([{ rows, own }], sites.map(({ name }) => name))
}
