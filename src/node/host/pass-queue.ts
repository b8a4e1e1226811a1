import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { pEvent } from 'p-event'
import { seenBy } from '../../auxiliary-spec.js'
import { HostBusyError } from '../../errors.js'
import { productSize } from '../../gl/products.js'
import { tokensOf } from '../../places.js'
import { unlessAborted } from '../../protocols/deadline.js'
import { isSummed } from '../../tensor/adaptation.js'
import type { Dropout } from '../../tensor/dropout.js'
import type { Batch, Site, WireForm } from '../../types.js'
import type { Applied } from '../applied.js'
import type { Feedback, LentModel, LentPass, LentResult } from './lent-model.js'

export interface PassRequest {
  /** Id of the job. */
  readonly job: string
  /** Whose rows they are. */
  readonly trainer: string
  readonly batch: Batch
  /** Names of the sites at which x and ∇ĥ are wanted; none for a forward pass alone. */
  readonly sites: readonly string[]
  /** The highest rank of the job's auxiliaries. */
  readonly rank: number
  /** The form in which adaptation data are wanted. */
  readonly wire: WireForm
  /** Whether they are wanted encoded, or else as tensors. */
  readonly encoded: boolean
  /** Requests of the same id are one pass, whatever else waits: so many in all. */
  readonly together?: { readonly id: string, readonly size: number }
  /** What its auxiliaries are without. @default nothing */
  readonly dropout?: Dropout
  /** See `LentPart`. */
  readonly feedback?: Feedback
  /** Called when the pass begins, so that what is applied is as new as can be. */
  readonly applied: () => Applied
}

export interface Pass extends LentResult {
  readonly applied: Applied
  /** In milliseconds. */
  readonly timings: { readonly queued: number, readonly pass: number }
  /** Requests that were this pass. */
  readonly shared: number
}

/** Requests that may wait, and what their batches may take in all, in bytes. Whoever comes then is told to try again, or elsewhere. */
const MAX_WAITING = 256
const MAX_WAITING_BYTES = 1024 * 1024 * 1024

/** What the batches of one pass may take, in bytes: as much as one that is sent. */
const JOINED_BYTES = 32 * 1024 * 1024

/** Tokens that are joined to one pass at most, padding included: beyond, more rows at once are no faster, and take memory. */
const JOINED_TOKENS = 2048

/** How long requests that are to be one pass wait for those that are missing, in milliseconds: they were sent at once. */
const TOGETHER_PATIENCE = 1000

interface Waiting {
  readonly request: PassRequest
  readonly came: number
  readonly signal: AbortSignal
  readonly resolve: (pass: Pass) => void
  readonly reject: (error: unknown) => void
}

/** A request as it stands when its pass begins. */
interface Ready extends Waiting {
  readonly applied: Applied
}

/**
 * The base model for many jobs. Requests that wait at the same moment, and meet the same weights, are one pass; the job
 * that has had fewest tokens comes first.
 */
export class PassQueue {
  readonly #model: LentModel
  #waiting: Waiting[] = []
  /** Tokens that each job has had, of those that wait or have lately. */
  readonly #served = new Map<string, number>()
  /** What the model shall do before the next pass. */
  readonly #between: Array<() => Promise<void>> = []
  #running = false
  readonly #arrivals = new EventTarget()

  constructor (model: LentModel) {
    this.#model = model
  }

  /**
   * Throws what `LentModel.pass` throws, and the signal's reason if it ends first.
   *
   * @throws {HostBusyError} if too many wait
   */
  async pass (request: PassRequest, signal: AbortSignal): Promise<Pass> {
    signal.throwIfAborted()
    const isFull = (): boolean => this.#waiting.length >= MAX_WAITING || bytesOf([...this.#waiting.map(({ request }) => request), request]) > MAX_WAITING_BYTES
    if (isFull()) this.#forgetAborted()
    if (isFull()) throw new HostBusyError(`${this.#waiting.length} steps wait at this host already; try again later, or at another host`)
    const result = new Promise<Pass>((resolve, reject) => {
      this.#waiting.push({ request, came: performance.now(), signal, resolve, reject })
    })
    this.#arrivals.dispatchEvent(new Event('arrival'))
    this.#enter(request.job)
    if (!this.#running) this.#run().catch(() => undefined) // each request is told of its own failure
    return await unlessAborted(result, signal)
  }

  /** Has the model do something else than a pass, which ends before the next one begins. */
  async between<T> (work: (model: LentModel) => Promise<T>): Promise<T> {
    const result = new Promise<T>((resolve, reject) => {
      this.#between.push(async () => { await work(this.#model).then(resolve, reject) })
    })
    this.#arrivals.dispatchEvent(new Event('arrival'))
    if (!this.#running) this.#run().catch(() => undefined) // whoever asked is told
    return await result
  }

  async #run (): Promise<void> {
    this.#running = true
    try {
      for (;;) {
        await turn() // what has arrived meanwhile is heard first
        for (const work of this.#between.splice(0)) await work()
        this.#forgetAborted()
        const group = this.#next()
        if (group.length > 0) await this.#runGroup(group)
        else if (this.#waiting.length > 0) await this.#arrival()
        else if (this.#between.length === 0) return
      }
    } finally {
      this.#running = false
    }
  }

  #forgetAborted (): void {
    this.#waiting = this.#waiting.filter(({ signal }) => !signal.aborted)
  }

  /** Another request, or the end of somebody's patience. */
  async #arrival (): Promise<void> {
    const earliest = Math.min(...this.#waiting.map(({ came }) => came))
    const over = new AbortController()
    const either = { signal: over.signal }
    try {
      await Promise.race([pEvent(this.#arrivals, 'arrival', either), delay(Math.max(1, earliest + TOGETHER_PATIENCE - performance.now()), undefined, either)])
    } finally {
      over.abort()
    }
  }

  /** Those that wait for no other. */
  #complete (): Waiting[] {
    const now = performance.now()
    const ofGroup = (id: string): number => this.#waiting.filter(({ request }) => request.together?.id === id).length
    return this.#waiting.filter(({ request: { together }, came }) =>
      together === undefined || ofGroup(together.id) >= together.size || now - came >= TOGETHER_PATIENCE)
  }

  /** The request of the job that has had least, those that are to be one pass with it, and all that can be joined to it. */
  #next (): Ready[] {
    const byNeed = this.#complete().sort((a, b) => this.#servedTo(a) - this.#servedTo(b))
    const [first] = byNeed as ReadonlyArray<Waiting | undefined>
    const inOrder = [...byNeed.filter(other => isMate(first, other)), ...byNeed.filter(other => !isMate(first, other))]
    const group: Ready[] = []
    const taken = new Set<PassRequest>()
    for (const waiting of inOrder) {
      if (!fits(group, waiting, this.#model.info.sites)) continue
      try {
        const ready = { ...waiting, applied: waiting.request.applied() }
        if (group.length > 0 && stateOf(group[0]) !== stateOf(ready)) continue
        group.push(ready)
      } catch (error) {
        waiting.reject(error)
      }
      taken.add(waiting.request)
    }
    this.#waiting = this.#waiting.filter(({ request }) => !taken.has(request))
    for (const { request: { job, batch } } of group) this.#served.set(job, (this.#served.get(job) ?? 0) + tokensOf(batch, this.#model.info.sites))
    return group
  }

  async #runGroup (group: readonly Ready[]): Promise<void> {
    const began = performance.now()
    try {
      const results = await this.#model.pass(passOf(group))
      const pass = performance.now() - began
      for (const [i, { came, applied, resolve }] of group.entries()) {
        resolve({ ...results[i], applied, timings: { queued: began - came, pass }, shared: group.length })
      }
    } catch (error) {
      if (group.length === 1) {
        group[0].reject(error)
        return
      }
      for (const one of group) await this.#runGroup([one]) // none fails for another's sake
    }
  }

  /** A job that comes anew has had as much as the one that has had least: waiting is not saved up. */
  #enter (job: string): void {
    if (this.#waiting.length === 1 && !this.#running) this.#served.clear()
    if (!this.#served.has(job)) this.#served.set(job, this.#served.size === 0 ? 0 : Math.min(...this.#served.values()))
  }

  #servedTo ({ request: { job } }: Waiting): number {
    return this.#served.get(job) ?? 0
  }
}

/** Names the weights that it meets; null for θ as it is. */
function stateOf ({ request: { job }, applied: { version, merged } }: Ready): string | null {
  return merged === undefined ? null : `${job}/${version ?? ''}`
}

/**
 * Whether it wants the same sites, and does not make the pass too long. Of one trainer's steps of a job each is a pass of its
 * own: what comes of them does not depend on how far they run ahead.
 *
 * @param all sites of the model
 */
function fits (group: readonly Waiting[], other: Waiting, all: readonly Site[]): boolean {
  if (group.length === 0) return true
  const longest = Math.max(...[...group, other].map(({ request }) => widthOf(request, all)))
  const rows = [...group, other].reduce((sum, { request }) => sum + request.batch.rows, 0)
  const bytes = bytesOf([...group, other].map(({ request }) => request))
  const { job, trainer } = other.request
  if (group.some(({ request }) => request.job === job && request.trainer === trainer)) return false
  const short = rows * longest <= JOINED_TOKENS || isMate(group[0], other)
  return group[0].request.sites.join() === other.request.sites.join() && short && bytes <= JOINED_BYTES
}

/** Whether a request is the first itself, or is to be one pass with it. */
function isMate (first: Waiting | undefined, other: Waiting): boolean {
  return first !== undefined && (first === other || (first.request.together !== undefined && first.request.together.id === other.request.together?.id))
}

/** What batches take. */
function bytesOf (requests: readonly PassRequest[]): number {
  return requests.reduce((sum, { batch: { tensors } }) => [...tensors.values()].reduce((own, { values }) => own + values.byteLength, sum), 0)
}

/**
 * What a row takes, in tokens: those that it has, the rank of the factors whose gradients are wanted of it, or its part of so many
 * tokens as have pairs that take what the products take.
 */
function widthOf ({ batch, wire, rank, sites }: PassRequest, all: readonly Site[]): number {
  const length = tokensOf(batch, all) / batch.rows
  if (wire === 'factors' || (wire === 'int8' && rank > 0)) return Math.max(length, rank)
  if (!isSummed(wire)) return length
  const wanted = all.filter(({ name }) => sites.includes(name))
  const pair = wanted.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures + outFeatures, 0)
  return Math.max(length, productSize(wanted) / pair / batch.rows)
}

function passOf (group: readonly Ready[]): LentPass {
  const [first] = group
  const { request: { sites }, applied: { merged } } = first
  return {
    sites,
    merged: merged === undefined ? null : { state: stateOf(first) ?? '', members: merged },
    parts: group.map(({ request: { batch, wire, encoded, dropout, feedback }, applied: { beside, own } }) => ({
      batch,
      wire,
      encoded,
      beside,
      ...(dropout && { dropout }),
      ...(feedback && { feedback }),
      ...(own !== undefined && sites.length > 0 && (wire === 'factors' || wire === 'int8' || seenBy(own.spec.kind) !== undefined) && { fitted: own })
    }))
  }
}
