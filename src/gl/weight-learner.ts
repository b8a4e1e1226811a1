import * as tf from '@tensorflow/tfjs'
import { matrixInput } from '../engine/matrix-input.js'
import { InvalidOptionError, NonFiniteError, UnknownSiteError } from '../errors.js'
import { inputShape, ONCE, outputShape } from '../places.js'
import type { AdapterTensors, AuxiliarySpec, Site, SitePair } from '../types.js'
import { applyAuxiliary, parameterShapes } from './auxiliary.js'
import { checkPair } from './gradient-learner.js'
import type { Fit } from './learner.js'
import type { Optimizer } from './optimizer.js'
import type { Schedule } from './schedule.js'
import { missingSites } from './site-errors.js'

/** An adapter that stands still, and of which the weight is learned. */
export interface ComposedAdapter {
  readonly spec: AuxiliarySpec
  /** It need not have every site. */
  readonly tensors: AdapterTensors
}

export interface WeightLearnerInit {
  readonly sites: readonly Site[]
  readonly adapters: readonly ComposedAdapter[]
  /** c_k at the start, one for each. */
  readonly start: readonly number[]
  /** It belongs to the learner. */
  readonly optimizer: Optimizer
  readonly schedule: Schedule
  /** Batches that are gathered before a fit. */
  readonly interval: number
}

const WEIGHTS = 'weights'

/**
 * Learns how much each of several adapters counts, ĥ = f(x) + Σ_k c_k·α_k·g_k(x), by Gradient Learning: from (x, ∇ĥ) alone
 * of passes in which they run so,
 *
 *     dL/dc_k = Σ_sites Σ_t ∇ĥ_t · α_k·g_k(x_t)
 *
 * which is J_wᵀ∇ĥ (arXiv 2404.13844, equation 6) for w = c. Gathers and fits as `GradientLearner` does; adapters of any kind.
 */
export class WeightLearner {
  readonly #init: WeightLearnerInit
  readonly #sites: ReadonlyMap<string, Site>
  /** Parameters of each adapter at each site that it has, in the order of `parameterShapes`. */
  readonly #parameters: ReadonlyArray<ReadonlyMap<string, readonly tf.Tensor[]>>
  readonly #weights: tf.Variable
  /** dL/dc of the batches that are whole, `[adapters]`. */
  #sum: tf.Tensor
  /** The share of each site of the batch that is arriving, `[adapters]`. */
  readonly #arriving = new Map<string, tf.Tensor>()
  #gathered = 0
  #fits = 0

  /** @throws {InvalidOptionError} if there is not one start for each adapter */
  constructor (init: WeightLearnerInit) {
    const { sites, adapters, start } = init
    if (start.length !== adapters.length) throw new InvalidOptionError(`${start.length} weights for ${adapters.length} adapters; one for each is needed`)
    this.#init = init
    this.#sites = new Map(sites.map(site => [site.name, site]))
    this.#parameters = adapters.map(({ spec, tensors }) => new Map(sites.flatMap(site => {
      const own = tensors.get(site.name)
      return own === undefined ? [] : [[site.name, [...parameterShapes(spec, site)].map(([name, shape]) => tf.tensor(own.get(name)?.values.slice() ?? [], [...shape]))]]
    })))
    this.#weights = tf.tidy(() => tf.variable(tf.tensor1d([...start])))
    this.#sum = this.#zeros()
  }

  /** Fits done so far. */
  get fits (): number { return this.#fits }

  /** Whether an interval is full. */
  get ready (): boolean { return this.#gathered >= this.#init.interval }

  /**
   * Takes one site's share of a batch. Sites may come in any order and one at a time.
   *
   * @throws {UnknownSiteError} if no adapter can have it, or it came already
   * @throws {InvalidTensorError} if x and ∇ĥ do not have the site's shapes
   * @throws {NonFiniteError} if a value is NaN or infinite
   */
  gather (name: string, pair: SitePair): void {
    const site = this.#sites.get(name)
    if (site === undefined || this.#arriving.has(name)) {
      throw new UnknownSiteError(`adaptation data of ${name} are not expected${site === undefined ? '' : ' twice'}; sites: ${[...this.#sites.keys()].join(', ')}`)
    }
    const rows = checkPair(site, pair)
    this.#arriving.set(name, tf.tidy(() => {
      const x = tf.tensor2d(pair.x.values, inputShape(site, rows, ONCE))
      const gradient = tf.tensor2d(pair.gradient.values, outputShape(site, rows, ONCE))
      const input = matrixInput(site, x) // [places, in]
      return tf.stack(this.#init.adapters.map(({ spec }, k) => {
        const own = this.#parameters[k].get(name)
        return own === undefined ? tf.scalar(0) : tf.sum(tf.mul(gradient, applyAuxiliary(spec, site, input, own)))
      })) // [adapters]
    }))
  }

  /**
   * The batch is whole: it counts from now on.
   *
   * @throws {UnknownSiteError} if a site is missing; the batch is then forgotten
   */
  endBatch (): void {
    const missing = [...this.#sites.keys()].filter(site => !this.#arriving.has(site))
    if (missing.length === 0) {
      const former = this.#sum
      this.#sum = tf.tidy(() => tf.addN([former, ...this.#arriving.values()]))
      former.dispose()
      this.#gathered++
    }
    this.dropBatch()
    if (missing.length > 0) throw missingSites(missing)
  }

  /** Forgets what has come of a batch that will not be whole. */
  dropBatch (): void {
    tf.dispose([...this.#arriving.values()])
    this.#arriving.clear()
  }

  /**
   * One step of all weights from what was gathered, also when the interval is not full. Returns undefined, and does nothing,
   * when nothing was gathered.
   *
   * @throws {NonFiniteError} if a gradient is NaN or infinite; what was gathered is dropped, no weight changes
   */
  async fit (): Promise<Fit | undefined> {
    if (this.#gathered === 0) return undefined
    const { optimizer, schedule } = this.#init
    const sum = this.#sum
    this.#sum = this.#zeros()
    this.#gathered = 0
    try {
      const norm = Math.hypot(...await sum.data<'float32'>())
      if (!Number.isFinite(norm)) throw new NonFiniteError('the gradients of the weights are not finite; nothing was changed, try a lower learning rate')
      const rate = schedule(this.#fits)
      optimizer.update(new Map([[WEIGHTS, this.#weights]]), new Map([[WEIGHTS, sum]]), rate)
      this.#fits++
      return { fit: this.#fits, rate, norm }
    } finally {
      sum.dispose()
    }
  }

  /** c_k as they are now. */
  async weights (): Promise<number[]> {
    return [...await this.#weights.data<'float32'>()]
  }

  dispose (): void {
    this.dropBatch()
    tf.dispose([this.#sum, this.#weights, ...this.#parameters.flatMap(own => [...own.values()].flat())])
    this.#init.optimizer.dispose()
  }

  #zeros (): tf.Tensor {
    return tf.zeros([this.#init.adapters.length])
  }
}
