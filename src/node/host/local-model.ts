import type * as tf from '@tensorflow/tfjs'
import { openEngine, type EngineOptions } from '../../engine/open-engine.js'
import { UnknownSiteError } from '../../errors.js'
import { applyAuxiliary, parameterShapes } from '../../gl/auxiliary.js'
import { meanOfProducts } from '../../merge/mean-of-products.js'
import { BaseModel, type ModelInfo } from '../../model/base-model.js'
import type { Beside, PassResult } from '../../model/pass.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, Site } from '../../types.js'
import type { LentModel, LentPass, Merged } from './lent-model.js'

/** A base model in this thread, with whatever is merged into it or runs beside it. */
export class LocalModel implements LentModel {
  readonly #model: BaseModel
  /** What is merged into θ now. */
  #merged: string | null = null

  private constructor (model: BaseModel) {
    this.#model = model
  }

  /** @throws what `BaseModel.load` and `openEngine` throw */
  static async open (folder: string, options: EngineOptions, log: (line: string) => void): Promise<LocalModel> {
    return new LocalModel(await BaseModel.load(folder, async weights => await openEngine(weights, options, log)))
  }

  get info (): ModelInfo { return this.#model.info }
  get engine (): BaseModel['engine'] { return this.#model.engine }

  async pass ({ batch, sites, auxiliary, merged, beside, logits = false }: LentPass): Promise<PassResult> {
    await this.#merge(merged, auxiliary)
    return await this.#model.pass(batch, {
      sites: sites.map(name => this.#site(name)),
      logits,
      ...(beside === null ? {} : { beside: besideOf(beside, auxiliary) })
    })
  }

  async dispose (): Promise<void> {
    await this.#model.dispose()
  }

  async #merge (merged: Merged | null, auxiliary: AuxiliarySpec): Promise<void> {
    const state = merged?.state ?? null
    if (state === this.#merged) return
    this.#merged = null
    const sites = merged === null ? [] : [...merged.members[0].adapter.keys()].map(name => this.#site(name))
    await this.#model.merge(meanOfProducts(merged?.members ?? [], auxiliary, sites))
    this.#merged = state
  }

  #site (name: string): Site {
    const site = this.info.sites.find(site => site.name === name)
    if (site === undefined) throw new UnknownSiteError(`this model has no site ${name}`)
    return site
  }
}

function besideOf (adapter: AdapterTensors, spec: AuxiliarySpec): Beside {
  const inputs = new Map<string, FloatTensor>()
  for (const [site, own] of adapter) {
    for (const [parameter, tensor] of own) inputs.set(`${site}|${parameter}`, tensor)
  }
  return {
    key: JSON.stringify([spec.kind, spec.alpha / spec.rank, [...adapter.keys()]]),
    inputs,
    apply: (site, x, tensor) => adapter.has(site.name)
      ? applyAuxiliary(spec, x, [...parameterShapes(spec, site).keys()].map(parameter => tensor<tf.Tensor2D>(`${site.name}|${parameter}`)))
      : undefined
  }
}
