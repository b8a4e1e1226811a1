import { openEngine, type EngineOptions } from '../../engine/open-engine.js'
import { InvalidAdapterError, UnknownSiteError } from '../../errors.js'
import { joinBlocks, type RowBlock } from '../../gl/row-blocks.js'
import { stack } from '../../merge/stack.js'
import { BaseModel, type ModelInfo } from '../../model/base-model.js'
import type { PassShape } from '../../model/joined-batch.js'
import type { WeightChange } from '../../model/merge.js'
import type { AdapterTensors, FloatTensor, Site, SiteData } from '../../types.js'
import { encodeParts } from './encoded-part.js'
import type { LentModel, LentPart, LentPass, LentResult, Merged } from './lent-model.js'

/** A base model in this thread, with whatever is merged into it or runs beside it. */
export class LocalModel implements LentModel {
  readonly #model: BaseModel
  /** What is merged into θ now; null for θ as it is, undefined where that is not known. */
  #merged: string | null | undefined = null

  /** Gives memory for what crosses the wire. */
  readonly #allocate: ((bytes: number) => Uint8Array) | undefined

  private constructor (model: BaseModel, allocate: ((bytes: number) => Uint8Array) | undefined) {
    this.#model = model
    this.#allocate = allocate
  }

  /** @throws what `BaseModel.load` and `openEngine` throw */
  static async open (folder: string, options: EngineOptions, log: (line: string) => void, allocate?: (bytes: number) => Uint8Array): Promise<LocalModel> {
    return new LocalModel(await BaseModel.load(folder, async weights => await openEngine(weights, options, log)), allocate)
  }

  get info (): ModelInfo { return this.#model.info }
  get engine (): BaseModel['engine'] { return this.#model.engine }

  async pass ({ parts, sites, merged, logits = false }: LentPass): Promise<LentResult[]> {
    await this.#merge(merged)
    const adapted = [...new Set(parts.flatMap(({ beside }) => [...beside?.adapter.keys() ?? []]))]
    const results = await this.#model.pass(parts.map(({ batch }) => batch), {
      sites: sites.map(name => this.#site(name)),
      logits,
      ...(adapted.length === 0 ? {} : { beside: shape => joinBlocks(blocksOf(parts, shape), adapted) })
    })
    return results.map((result, i) => {
      const { wire } = parts[i]
      return wire === undefined ? { ...result, parts: [] } : { ...result, data: new Map<string, SiteData>(), parts: encodeParts(result.data, wire, this.#allocate) }
    })
  }

  async dispose (): Promise<void> {
    await this.#model.dispose()
  }

  async #merge (merged: Merged | null): Promise<void> {
    const state = merged?.state ?? null
    if (state === this.#merged) return
    this.#merged = undefined // it may fail before or after
    await this.#model.merge(merged === null ? new Map() : this.#changes(merged))
    this.#merged = state
  }

  /** The mean of the members' ΔW, as one product of stacked factors where they have factors. */
  #changes ({ spec, members }: Merged): Map<string, WeightChange> {
    const sites = [...members[0].adapter.keys()].map(name => this.#site(name))
    const stacked = stack(members, spec, sites)
    const scale = stacked.spec.alpha / stacked.spec.rank // α
    return new Map(sites.map(({ name, inFeatures, outFeatures }) => {
      const { rank } = stacked.spec
      const tensor = (parameter: string, shape: readonly number[]): FloatTensor => tensorNamed(stacked.tensors, name, parameter, shape)
      return [name, spec.kind === 'linear'
        ? { scale, weight: tensor('weight', [outFeatures, inFeatures]) }
        : { scale, a: tensor('lora_A.weight', [rank, inFeatures]), b: tensor('lora_B.weight', [outFeatures, rank]) }]
    }))
  }

  #site (name: string): Site {
    const site = this.info.sites.find(site => site.name === name)
    if (site === undefined) throw new UnknownSiteError(`this model has no site ${name}`)
    return site
  }
}

function tensorNamed (adapter: AdapterTensors, site: string, parameter: string, shape: readonly number[]): FloatTensor {
  const tensor = adapter.get(site)?.get(parameter)
  if (tensor?.shape.join() !== shape.join()) throw new InvalidAdapterError(`the contributions have no ${site}.${parameter} of [${shape.join(', ')}]`)
  return tensor
}

/** Those rows of each part that are in the pass, and then those that fill it up. */
function blocksOf (parts: readonly LentPart[], { firstRow, rows, length }: PassShape): RowBlock[] {
  const end = firstRow + rows
  let row = 0
  const own = parts.map(({ batch, beside }) => {
    const [from, to] = [Math.max(row, firstRow), Math.min(row + batch.rows, end)]
    row += batch.rows
    return { tokens: Math.max(0, to - from) * length, own: beside }
  })
  return [...own.filter(({ tokens }) => tokens > 0), { tokens: Math.max(0, end - Math.max(row, firstRow)) * length, own: null }]
}
