import type { AdapterTensors, NamedTensors, SiteData } from '../types.js'

/** What one fit did. */
export interface Fit {
  /** Counted from 1. */
  readonly fit: number
  /** Its learning rate. */
  readonly rate: number
  /** Global norm of the gradients before they were clipped. */
  readonly norm: number
}

/** There at once, or to be waited for. */
type Awaitable<T> = T | Promise<T>

/** What fits auxiliaries from adaptation data: in this thread, or in others. One call at a time: each is waited for. */
export interface Learner {
  /** Fits done so far. */
  readonly fits: number
  /** Whether an interval is full. */
  readonly ready: boolean
  /** Why it can do nothing any more; undefined as long as it can. */
  readonly failure?: Error | undefined

  /**
   * A batch comes. Only private fits need it: they keep a batch until all of its sites are there, and one without rows is no less
   * a batch, of which nothing else comes.
   *
   * @param counts of each row, the predictions that count in the loss
   */
  beginBatch (counts: Int32Array): void

  /**
   * Takes one site's share of a batch. Sites may come in any order and one at a time. The data have to be good until it ends. Where
   * it ends before they are looked at, what is wrong with them is told by a later call, by `endBatch` at the latest. A batch with such
   * data has to be dropped.
   *
   * @throws {UnknownSiteError} if there is no auxiliary for it, or it came already
   * @throws {InvalidTensorError} if x and ∇ĥ, and what else the auxiliary is fitted from, do not have the site's shapes, or gradients
   *   those of the parameters; or if rows are private, and are summed already
   * @throws {NonFiniteError} if a value is NaN or infinite
   */
  gather (site: string, data: SiteData): Awaitable<void>

  /**
   * The batch is whole: it counts from now on.
   *
   * @param weight what its gradients are multiplied by @default 1
   * @throws {UnknownSiteError} if a site is missing; the batch is then forgotten
   * @throws what `gather` throws; the batch is then forgotten too
   */
  endBatch (weight?: number): Awaitable<void>

  /** Forgets what has come of a batch that will not be whole. */
  dropBatch (): void

  /**
   * One step of every auxiliary from all that was gathered, also when the interval is not full (the last one).
   * Returns undefined, and does nothing, when nothing was gathered.
   *
   * @throws {NonFiniteError} if a gradient is NaN or infinite; what was gathered is dropped, no parameter changes
   */
  fit (): Promise<Fit | undefined>

  /** The auxiliaries as they are now. */
  adapter (): Promise<AdapterTensors>

  /** What runs beside the base model: the auxiliaries, with whatever stands still beside them. */
  contributed (): Promise<AdapterTensors>

  /** Goes on from other values of the auxiliaries. @throws {InvalidAdapterError} if they do not fit; nothing is changed then */
  assign (adapter: AdapterTensors): Awaitable<void>

  /** Everything but the auxiliaries' values: optimiser, fits, and what was gathered of an interval. */
  state (): Promise<NamedTensors>

  /** Goes on from such a state, whichever learner it is of. */
  restore (state: NamedTensors): Awaitable<void>

  dispose (): Awaitable<void>
}
