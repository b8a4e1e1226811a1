import type { Adapter } from '../gl/peft.js'
import type { BaseModel } from '../model/base-model.js'
import type { WeightChange } from '../model/merge.js'
import { selectSites } from '../model/sites.js'
import { changesOf } from '../node/host/weight-changes.js'

/**
 * What an adapter changes in a model's weights.
 *
 * @throws {UnknownSiteError} or {InvalidAdapterError} if the adapter is not one for this model
 */
export function adapterChanges ({ info }: Pick<BaseModel, 'info'>, { spec, tensors }: Adapter): Map<string, WeightChange> {
  return changesOf(spec, tensors, selectSites(info, [...tensors.keys()]))
}
