import { seenBy } from '../../auxiliary-spec.js'
import { openEngine, type EngineOptions } from '../../engine/open-engine.js'
import { UnknownSiteError } from '../../errors.js'
import { summedForm } from '../../gl/summed-form.js'
import { factorGradients, type FittedRows, sumOfRows } from '../../gl/factor-gradients.js'
import { productName, productsOfOwners, type SummedRows } from '../../gl/products.js'
import { joinBlocks, type RowBlock } from '../../gl/row-blocks.js'
import type { Weighted } from '../../merge/weighted.js'
import { BaseModel, type ModelInfo } from '../../model/base-model.js'
import type { PassShape } from '../../model/joined-batch.js'
import type { PassResult } from '../../model/pass.js'
import type { WeightForm } from '../../model/weights.js'
import type { AdaptationData, FloatTensor, Site, SiteData, WireForm } from '../../types.js'
import { type AuxiliaryNorms, auxiliaryNorms, normsAt } from './auxiliary-norms.js'
import { dropoutMasks } from './dropout-masks.js'
import { Remainders } from '../../tensor/remainders.js'
import { isSummed } from '../../tensor/adaptation.js'
import { encodeParts } from './encoded-part.js'
import type { LentModel, LentPart, LentPass, LentResult, Merged } from './lent-model.js'
import type { Contributed } from '../job-members.js'
import { meanChange } from './weight-changes.js'

export type ModelOptions = EngineOptions & WeightForm

/** A base model in this thread, with whatever is merged into it or runs beside it. */
export class LocalModel implements LentModel {
  readonly #model: BaseModel
  /** What is merged into θ now; null for θ as it is, undefined where that is not known. */
  #merged: string | null | undefined = null

  /** Gives memory for what crosses the wire. */
  readonly #allocate: ((bytes: number) => Uint8Array) | undefined

  readonly #remainders = new Remainders()

  private constructor (model: BaseModel, allocate: ((bytes: number) => Uint8Array) | undefined) {
    this.#model = model
    this.#allocate = allocate
  }

  /** @throws what `BaseModel.load` and `openEngine` throw */
  static async open (folder: string, { dtype, baseQuantize, ...engine }: ModelOptions, log: (line: string) => void, allocate?: (bytes: number) => Uint8Array): Promise<LocalModel> {
    return new LocalModel(await BaseModel.load(folder, async weights => await openEngine(weights, engine, log), { dtype, baseQuantize }), allocate)
  }

  get info (): ModelInfo { return this.#model.info }
  get engine (): BaseModel['engine'] { return this.#model.engine }

  async pass ({ parts, sites, merged, logits = false }: LentPass): Promise<LentResult[]> {
    await this.#merge(merged)
    const adapted = [...new Set(parts.flatMap(({ beside }) => beside.flatMap(({ tensors }) => [...tensors.keys()])))]
    const tapped = sites.map(name => this.#site(name))
    const norms = await auxiliaryNorms(this.#model, parts.flatMap(({ beside, fitted }) => [...beside, ...(fitted === undefined ? [] : [{ spec: fitted.spec, tensors: fitted.adapter }])]))
    const results = await this.#model.pass(parts.map(({ batch }) => batch), {
      sites: tapped,
      pairs: parts.some(({ wire }) => !isSummed(wire)),
      given: [...new Set(parts.flatMap(({ fitted }) => (fitted && seenBy(fitted.spec.kind)) ?? []))],
      logits,
      ...(parts.some(({ dropout }) => dropout !== undefined) && { masks: shape => dropoutMasks(parts, shape, adapted.map(name => this.#site(name))) }),
      ...(adapted.length === 0 ? {} : { beside: shape => joinBlocks(blocksOf(parts, shape, norms), adapted) }),
      ...(parts.every(part => formOf(part) !== 'factors') ? {} : { reduce: shape => factorGradients(fittedRows(parts, shape), tapped) }),
      ...(parts.every(part => formOf(part) !== 'product') ? {} : { sum: shape => productsOfOwners(summedRows(parts, shape)) })
    })
    return results.map(({ pairs, reduced, summed, given, ...result }, i) => {
      const { wire = 'f32', encoded = false, feedback } = parts[i]
      const data = dataOf(parts[i], i, { pairs, reduced, summed, given }, norms)
      return encoded
        ? { ...result, data: new Map<string, SiteData>(), parts: encodeParts(data, wire, this.#allocate, feedback && this.#remainders.at(feedback.key, feedback.step)) }
        : { ...result, data, parts: [] }
    })
  }

  async startNorms (sites: readonly string[]): Promise<ReadonlyMap<string, FloatTensor>> {
    return await this.#model.weightNorms(new Map(sites.map(name => [this.#site(name).name, null])))
  }

  async dispose (): Promise<void> {
    await this.#model.dispose()
  }

  async #merge (merged: Merged | null): Promise<void> {
    const state = merged?.state ?? null
    if (state === this.#merged) return
    this.#merged = undefined // it may fail before or after
    await this.#model.merge(merged === null ? new Map() : meanChange(merged.members, sitesOf(merged.members).map(name => this.#site(name))))
    this.#merged = state
  }

  #site (name: string): Site {
    const site = this.info.sites.find(site => site.name === name)
    if (site === undefined) throw new UnknownSiteError(`this model has no site ${name}`)
    return site
  }
}

/** What is made of a part's pairs, whether it is rounded or not. */
function formOf ({ wire = 'f32', fitted }: Pick<LentPart, 'wire' | 'fitted'> = {}): WireForm {
  return fitted === undefined ? wire : summedForm(wire, fitted.spec)
}

/** What comes of a part, in the form in which it is wanted. */
function dataOf (own: LentPart, part: number, { pairs, reduced, summed, given }: Pick<PassResult, 'pairs' | 'reduced' | 'summed' | 'given'>, norms: AuxiliaryNorms): AdaptationData {
  const { fitted } = own
  const form = formOf(own)
  if (form === 'product') return productsOf(summed, part)
  if (fitted === undefined) return pairs
  return form === 'factors' ? factorsOf(reduced, fitted) : pairsFor(fitted, pairs, given, norms)
}

/** A part's Σ∇ĥ·xᵀ. */
function productsOf (summed: PassResult['summed'], part: number): AdaptationData {
  return new Map([...summed].map(([site, own]) => {
    const product = own.get(productName(part))
    if (product === undefined) throw new UnknownSiteError(`the pass gives no sum of ∇ĥ·xᵀ of ${site}`)
    return [site, { product }]
  }))
}

/** What a part's pairs do to the factors that its trainer fits. */
function factorsOf (reduced: PassResult['reduced'], { spec, adapter }: Contributed): AdaptationData {
  return new Map([...reduced].filter(([site]) => adapter.has(site)).map(([site, own]) => {
    const [a, b] = [own.get('A'), own.get('B')]
    if (a === undefined || b === undefined) throw new UnknownSiteError(`the pass gives no gradients of the factors of ${site}`)
    return [site, sumOfRows(spec, site, a, b)]
  }))
}

/** Pairs, with what the trainer's kind sees beside x. */
function pairsFor ({ spec: { kind }, adapter }: Contributed, pairs: PassResult['pairs'], given: PassResult['given'], norms: AuxiliaryNorms): AdaptationData {
  const seen = seenBy(kind)
  const byNorm = normsAt(adapter, norms)
  return new Map([...pairs].map(([site, pair]) => {
    const [output, norm] = [seen && given.get(site)?.[seen], byNorm.get(site)]
    return [site, { ...pair, ...(output && { output }), ...(norm && { norm }) }]
  }))
}

/** The sites that any of them has. */
function sitesOf (members: readonly Weighted[]): string[] {
  return [...new Set(members.flatMap(({ adapter }) => [...adapter.keys()]))]
}

/** How many rows of each part are in the pass, and then how many fill it up. */
function rowsInPass (parts: readonly LentPart[], { firstRow, rows }: PassShape): number[] {
  const end = firstRow + rows
  let row = 0
  const own = parts.map(({ batch }) => {
    const [from, to] = [Math.max(row, firstRow), Math.min(row + batch.rows, end)]
    row += batch.rows
    return Math.max(0, to - from)
  })
  return [...own, Math.max(0, end - Math.max(row, firstRow))]
}

function blocksOf (parts: readonly LentPart[], shape: PassShape, norms: AuxiliaryNorms): RowBlock[] {
  return rowsInPass(parts, shape)
    .map((rows, i) => ({ rows, own: (parts.at(i)?.beside ?? []).map(({ spec, tensors }) => ({ spec, adapter: tensors, norms: normsAt(tensors, norms) })) }))
    .filter(({ rows }) => rows > 0)
}

/** A part is the owner of its rows, by its place. */
function summedRows (parts: readonly LentPart[], shape: PassShape): SummedRows[] {
  return rowsInPass(parts, shape).map((rows, i) => ({ rows, owner: formOf(parts.at(i)) === 'product' ? i : null }))
}

function fittedRows (parts: readonly LentPart[], shape: PassShape): FittedRows[] {
  return rowsInPass(parts, shape).map((rows, i) => {
    const part = parts.at(i)
    return { rows, fitted: formOf(part) === 'factors' ? part?.fitted ?? null : null }
  })
}
