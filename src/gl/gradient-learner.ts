import * as tf from '@tensorflow/tfjs'
import { InvalidTensorError, NonFiniteError } from '../errors.js'
import { allFinite } from '../tensor/finite.js'
import { inputShape, ONCE, outputShape } from '../places.js'
import type { AdapterTensors, FloatTensor, NamedTensors, Site, SiteData, SitePair, TensorData, TensorValues } from '../types.js'
import type { SeenBeside } from './auxiliary-definition.js'
import type { FittedAuxiliary } from './fitted-auxiliary.js'
import { type Clip, clipGradients, normsOf } from './clip.js'
import type { Fit, Learner } from './learner.js'
import type { Optimizer } from './optimizer.js'
import { PrivateGathering, type PrivateFits } from './privacy/private-gathering.js'
import type { Schedule } from './schedule.js'
import { checkSitesOf, missingSites, unexpectedSite } from './site-errors.js'

export interface GradientLearnerInit {
  /** One auxiliary a site. They belong to the learner. */
  readonly auxiliaries: readonly FittedAuxiliary[]
  readonly optimizer: Optimizer
  readonly schedule: Schedule
  /** Batches that are gathered before a fit. */
  readonly interval: number
  /** The gradients of a fit are scaled down to this norm. @default no limit */
  readonly maxNorm?: number
  /** Whose norm that is. @default 'global' */
  readonly clip?: Clip
  /** Each row of a batch counts for a limited norm, and fits have noise. @default neither */
  readonly privacy?: PrivateFits
}

/** The Euclidean norm of each gradient, by parameter. */
export type GradientNorms = ReadonlyMap<string, number>

const GATHERED = 'gathered'
const FITS = 'fits'
const OPTIMIZER = 'optimizer.'
const SUM = 'sum.'

/**
 * The trainer's side of Gradient Learning (arXiv 2404.13844, Algorithm 1): it trains auxiliaries from adaptation data
 * alone: from pairs (x, ∇ĥ), with what the module gives itself where the kind is a function of it, from what the pairs do to
 * factors, or from the sum of ∇ĥ·xᵀ.
 *
 * Within an interval w stands still, so the gradients of its batches are summed as they arrive and no data are kept:
 * memory does not depend on the interval, and the sum equals gradient accumulation.
 */
export class GradientLearner implements Learner {
  readonly #auxiliaries: ReadonlyMap<string, FittedAuxiliary>
  readonly #optimizer: Optimizer
  readonly #schedule: Schedule
  readonly #interval: number
  readonly #maxNorm: number
  /** Gradients of one group are clipped together, by their names. */
  readonly #groupOf: (name: string) => string
  readonly #private: PrivateGathering | undefined
  readonly #sums = new Map<string, tf.Tensor>()
  /** Gradients of the batch that is arriving, by parameter. */
  readonly #arriving = new Map<string, tf.Tensor>()
  readonly #arrived = new Set<string>()
  #gathered = 0
  #fits = 0

  constructor (init: GradientLearnerInit) {
    this.#auxiliaries = new Map(init.auxiliaries.map(auxiliary => [auxiliary.site.name, auxiliary]))
    this.#optimizer = init.optimizer
    this.#schedule = init.schedule
    this.#interval = init.interval
    this.#maxNorm = init.maxNorm ?? Infinity
    const sites = new Map<string, string>(init.auxiliaries.flatMap(({ site, parameters }) =>
      [...parameters.keys()].map(parameter => [`${site.name}.${parameter}`, site.name] as const)))
    this.#groupOf = init.clip === 'auxiliary' ? name => sites.get(name) ?? name : () => 'all'
    this.#private = init.privacy && new PrivateGathering(init.privacy)
  }

  get fits (): number { return this.#fits }
  /** Batches of the interval so far. */
  get gathered (): number { return this.#gathered }
  get ready (): boolean { return this.#gathered >= this.#interval }

  beginBatch (counts: Int32Array): void {
    this.#private?.begin(counts)
  }

  gather (site: string, data: SiteData): void {
    const auxiliary = this.#auxiliaries.get(site)
    if (auxiliary === undefined || this.#arrived.has(site)) {
      throw unexpectedSite(site, [...this.#auxiliaries.keys()])
    }
    if (this.#private === undefined) {
      for (const [parameter, gradient] of gradientsOf(auxiliary, data)) this.#arriving.set(`${site}.${parameter}`, gradient)
    } else {
      gatherRows(this.#private, auxiliary, data)
    }
    this.#arrived.add(site)
  }

  endBatch (weight = 1): void {
    const missing = [...this.#auxiliaries.keys()].filter(site => !this.#arrived.has(site))
    if (missing.length > 0 && this.#private?.empty !== true) {
      this.dropBatch()
      throw missingSites(missing)
    }
    for (const [name, arrived] of this.#private?.end(this.#auxiliaries.values()) ?? this.#arriving) {
      const gradient = weighted(arrived, weight)
      const sum = this.#sums.get(name)
      this.#sums.set(name, sum === undefined ? gradient : tf.add(sum, gradient))
      if (sum !== undefined) tf.dispose([sum, gradient])
    }
    this.#arriving.clear()
    this.#arrived.clear()
    this.#gathered++
  }

  dropBatch (): void {
    this.#private?.drop()
    tf.dispose([...this.#arriving.values()])
    this.#arriving.clear()
    this.#arrived.clear()
  }

  /**
   * See `Learner.fit`.
   *
   * @param ofAll gives the norms of all gradients of the fit where this learner has a share of them, by parameter and in an order
   *   that does not depend on how they are shared out @default there are no others
   */
  async fit (ofAll: (own: GradientNorms) => GradientNorms | Promise<GradientNorms> = own => own): Promise<Fit | undefined> {
    if (this.#gathered === 0) return undefined
    const sums = this.#taken()
    try {
      const norms = await ofAll(await normsOf(sums))
      const norm = Math.hypot(...norms.values())
      if (!Number.isFinite(norm)) throw new NonFiniteError('the gradients of a fit are not finite; nothing was changed, try a lower learning rate')
      const rate = this.#schedule(this.#fits)
      tf.tidy(() => this.#optimizer.update(this.#parameters(), clipGradients(sums, norms, this.#groupOf, this.#maxNorm), rate))
      this.#fits++
      return { fit: this.#fits, rate, norm }
    } finally {
      tf.dispose([...sums.values()])
    }
  }

  async adapter (): Promise<AdapterTensors> {
    const entries = [...this.#auxiliaries].map(async ([site, auxiliary]) => [site, await auxiliary.toTensors()] as const)
    return new Map(await Promise.all(entries))
  }

  async contributed (): Promise<AdapterTensors> {
    const entries = [...this.#auxiliaries].map(async ([site, auxiliary]) => [site, await auxiliary.contributed()] as const)
    return new Map(await Promise.all(entries))
  }

  /** Whether `assign` will take them. @throws {InvalidAdapterError} if they do not fit */
  check (adapter: AdapterTensors): void {
    checkSitesOf(adapter, [...this.#auxiliaries.keys()])
    for (const [site, auxiliary] of this.#auxiliaries) auxiliary.check(adapter.get(site) ?? new Map())
  }

  assign (adapter: AdapterTensors): void {
    this.check(adapter)
    for (const [site, auxiliary] of this.#auxiliaries) auxiliary.assign(adapter.get(site) ?? new Map())
  }

  async state (): Promise<NamedTensors> {
    const optimizer = [...await this.#optimizer.state()].map(([name, tensor]) => [OPTIMIZER + name, tensor] as const)
    const sums = await Promise.all([...this.#sums].map(async ([name, sum]) =>
      [SUM + name, { shape: sum.shape, values: (await sum.data<'float32'>()).slice() }] as const))
    const counts = [[GATHERED, integer(this.#gathered)], [FITS, integer(this.#fits)]] as const
    return new Map<string, TensorData>([...counts, ...optimizer, ...sums, ...this.#private?.state() ?? []])
  }

  restore (state: NamedTensors): void {
    this.#clear()
    this.#gathered = state.get(GATHERED)?.values[0] ?? 0
    this.#fits = state.get(FITS)?.values[0] ?? 0
    this.#optimizer.restore(new Map([...state]
      .filter(([name]) => name.startsWith(OPTIMIZER))
      .map(([name, tensor]) => [name.slice(OPTIMIZER.length), tensor])))
    for (const [name, tensor] of state) {
      if (!name.startsWith(SUM)) continue
      const { shape, values } = tensor as FloatTensor
      this.#sums.set(name.slice(SUM.length), tf.tensor(values.slice(), [...shape]))
    }
  }

  dispose (): void {
    this.#clear()
    this.#optimizer.dispose()
    for (const auxiliary of this.#auxiliaries.values()) auxiliary.dispose()
  }

  /** What a fit is made from, in the order of the parameters: sites come in any, and norms are sums. Nothing is gathered then. */
  #taken (): Map<string, tf.Tensor> {
    const sums = new Map(this.#sums)
    this.#sums.clear()
    this.#gathered = 0
    const taken = this.#private?.noised(sums, this.#fits) ?? sums
    if (taken !== sums) tf.dispose([...sums.values()])
    const places = new Map([...this.#parameters().keys()].map((name, place) => [name, place]))
    return new Map([...taken].sort(([a], [b]) => (places.get(a) ?? 0) - (places.get(b) ?? 0)))
  }

  #clear (): void {
    this.dropBatch()
    tf.dispose([...this.#sums.values()])
    this.#sums.clear()
    this.#gathered = 0
  }

  #parameters (): Map<string, tf.Variable> {
    return new Map([...this.#auxiliaries].flatMap(([site, auxiliary]) =>
      [...auxiliary.parameters].map(([parameter, variable]) => [`${site}.${parameter}`, variable] as const)))
  }
}

/** The parameter that a tensor of a learner's state belongs to; no parameter's name where it belongs to all. */
export function parameterOf (name: string): string {
  if (name.startsWith(SUM)) return name.slice(SUM.length)
  return name.startsWith(OPTIMIZER) ? name.slice(OPTIMIZER.length, name.lastIndexOf('.')) : ''
}

function integer (value: number): TensorData {
  return { shape: [1], values: Int32Array.of(value) }
}

function gradientsOf (auxiliary: FittedAuxiliary, data: SiteData): Map<string, tf.Tensor> {
  const { site } = auxiliary
  const { name } = site
  if ('factors' in data) {
    for (const [parameter, { values }] of data.factors) checkFinite(`${name}.${parameter}`, values)
    return auxiliary.scaled(data.factors)
  }
  if ('product' in data) {
    const { product: { shape, values } } = data
    if (shape.join() !== [site.outFeatures, site.inFeatures].join() || values.length !== site.outFeatures * site.inFeatures) {
      throw new InvalidTensorError(`${name}: the sum of ∇ĥ·xᵀ is [${shape.join(', ')}], it must be [${site.outFeatures}, ${site.inFeatures}]`)
    }
    checkFinite(`${name}: the sum of ∇ĥ·xᵀ`, values)
    const product = tf.tensor2d(values, [site.outFeatures, site.inFeatures])
    try {
      return auxiliary.ofProduct(product)
    } finally {
      product.dispose()
    }
  }
  return new Map(Object.entries(tf.tidy(() => {
    const { x, gradient, seen } = tensorsOf(site, data, values => values)
    return Object.fromEntries(auxiliary.gradients(x, gradient, seen))
  })))
}

function gatherRows (gathering: PrivateGathering, auxiliary: FittedAuxiliary, data: SiteData): void {
  const { site } = auxiliary
  if ('factors' in data || 'product' in data) throw new InvalidTensorError(`${site.name}: gradients that are summed over rows; private fits need x and ∇ĥ of each`)
  const { x, gradient, seen } = tensorsOf(site, data, values => values.slice()) // they are kept, and the data are good for now only
  try {
    gathering.add(auxiliary, x, gradient, seen)
  } finally {
    tf.dispose([x, gradient, ...Object.values(seen) as tf.Tensor[]])
  }
}

/** A pair, and what comes with it, that has been checked. */
function tensorsOf (site: Site, data: SitePair, copy: (values: TensorValues) => TensorValues): { x: tf.Tensor2D, gradient: tf.Tensor2D, seen: SeenBeside } {
  const rows = checkPair(site, data)
  const { x, gradient, output, norm } = data
  const outputs = outputShape(site, rows, ONCE)
  return {
    x: tf.tensor2d(copy(x.values), inputShape(site, rows, ONCE)),
    gradient: tf.tensor2d(copy(gradient.values), outputs),
    seen: { ...(output && { output: tf.tensor2d(copy(output.values), outputs) }), ...(norm && { norm: tf.tensor1d(copy(norm.values)) }) }
  }
}

/** The gradient is disposed of where another one takes its place. */
function weighted (gradient: tf.Tensor, weight: number): tf.Tensor {
  if (weight === 1) return gradient
  const product = tf.mul(gradient, weight)
  gradient.dispose()
  return product
}

function checkFinite (name: string, values: TensorValues): void {
  if (values instanceof Float32Array && !allFinite(values)) throw new NonFiniteError(`${name} holds values that are not finite`)
}

/** @returns rows in which the module stands once, or a convolution rows of images */
export function checkPair (site: Site, { x, gradient, output, norm }: SitePair): number {
  const { embedding = false, inFeatures } = site
  if (x.values instanceof Int32Array !== embedding) throw new InvalidTensorError(`${site.name}: x is ${embedding ? 'no ' : ''}integers, it must be ${embedding ? '' : 'no '}tokens`)
  if (embedding && x.values.some(token => token < 0 || token >= inFeatures)) throw new InvalidTensorError(`${site.name}: x holds tokens that are not from 0 to ${inFeatures - 1}`)
  const rowsIn = (name: string, { shape, values }: TensorData, [places, features]: [number, number]): number => {
    const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1) / places
    if (shape.length < 2 || shape.at(-1) !== features || values.length !== rows * places * features) {
      throw new InvalidTensorError(`${site.name}: ${name} is [${shape.join(', ')}], it must be [places, ${features}]`)
    }
    checkFinite(`${site.name}: ${name}`, values)
    return rows
  }
  const rows = rowsIn('x', x, inputShape(site, 1, ONCE))
  const others = rowsIn('gradient', gradient, outputShape(site, 1, ONCE))
  if (output !== undefined && rowsIn('output', output, outputShape(site, 1, ONCE)) !== rows) throw new InvalidTensorError(`${site.name}: the output has ${output.shape[0]} places, x has ${x.shape[0]}`)
  if (norm !== undefined) {
    if (norm.shape.join() !== String(site.outFeatures)) throw new InvalidTensorError(`${site.name}: the norms are [${norm.shape.join(', ')}], they must be [${site.outFeatures}]`)
    checkFinite(`${site.name}: norms`, norm.values)
  }
  if (rows === 0) throw new InvalidTensorError(`${site.name}: there is no token`)
  if (rows !== others || !Number.isInteger(rows)) throw new InvalidTensorError(`${site.name}: x has ${x.shape[0]} places, its gradient ${gradient.shape[0]}; they are not those of the same rows`)
  return rows
}
