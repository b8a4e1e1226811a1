import { isMergeable } from '../auxiliary-spec.js'
import type { Adapter } from '../gl/peft.js'
import { joinBlocks, type RowBlock } from '../gl/row-blocks.js'
import type { BaseModel } from '../model/base-model.js'
import type { Beside } from '../model/beside.js'
import type { WeightChange } from '../model/merge.js'
import { selectSites } from '../model/sites.js'
import { changesOf } from '../node/host/weight-changes.js'

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
 * What an adapter folder does to a model. What can be merged is, and the rest runs beside.
 *
 * @throws {UnknownSiteError} or {InvalidAdapterError} if the adapter is not one for this model
 */
export function loadedAdapter ({ info }: Pick<BaseModel, 'info'>, adapters: readonly Adapter[], { unmerged = false }: LoadOptions = {}): LoadedAdapter {
  const [first] = adapters.filter(({ spec }) => isMergeable(spec)) as ReadonlyArray<Adapter | undefined>
  const changes = first === undefined ? new Map<string, WeightChange>() : changesOf(first.spec, first.tensors, selectSites(info, [...first.tensors.keys()])) // also checks that it fits
  const others = adapters.filter(adapter => unmerged || adapter !== first)
  return { changes: unmerged ? new Map() : changes, beside: others.length === 0 ? undefined : besideOf(info, others) }
}

function besideOf (info: BaseModel['info'], adapters: readonly Adapter[]): (rows: number) => Beside {
  const own: RowBlock['own'] = adapters.map(({ spec, tensors }) => ({ spec, adapter: tensors }))
  const sites = selectSites(info, [...new Set(adapters.flatMap(({ tensors }) => [...tensors.keys()]))]).map(({ name }) => name)
  return rows => joinBlocks([{ rows, own }], sites)
}
