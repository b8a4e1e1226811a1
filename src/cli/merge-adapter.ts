import type { Adapter } from '../gl/peft.js'
import type { BaseModel } from '../model/base-model.js'
import { selectSites } from '../model/sites.js'
import { changesOf } from '../node/host/weight-changes.js'

/**
 * Has a model run with an adapter merged into its weights.
 *
 * @throws {UnknownSiteError} or {InvalidAdapterError} if the adapter is not one for this model
 */
export async function mergeAdapter (model: BaseModel, { spec, tensors }: Adapter): Promise<void> {
  await model.merge(changesOf(spec, tensors, selectSites(model.info, [...tensors.keys()])))
}
