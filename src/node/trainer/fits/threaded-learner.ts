import type { BackendName } from '../../../engine/backend.js'
import { InvalidOptionError } from '../../../errors.js'
import { parameterOf } from '../../../gl/gradient-learner.js'
import type { Fit, Learner } from '../../../gl/learner.js'
import type { LearnerPlan } from '../../../gl/learner-plan.js'
import { checkSitesOf, missingSites, unexpectedSite } from '../../../gl/site-errors.js'
import type { AdapterTensors, NamedTensors, SiteData } from '../../../types.js'
import { FitThread } from './fit-thread.js'
import { SharedCopies } from './shared-copies.js'
import { sharesOf } from './shares.js'

export interface ThreadedLearnerInit {
  /** As many as there are auxiliaries at most. */
  readonly threads: number
  /** On which each of them computes. */
  readonly backend: BackendName
}

/** Sites that wait at a thread while it gathers another: enough that it need not wait, and no more than that lies in memory. */
const WAITING = 1

/** A batch that is arriving. */
interface Arriving {
  readonly sites: Set<string>
  /** What threads are doing with it. */
  readonly underWay: Array<Promise<void>>
  /** The first that went wrong. */
  failure?: Error
}

/** A thread, and the names of its parameters by site. */
interface Running {
  readonly thread: FitThread
  readonly parameters: ReadonlyMap<string, readonly string[]>
}

/**
 * A learner whose auxiliaries are shared out among threads, each of which has a learner of its own for them: sites of a batch are
 * gathered side by side while further ones arrive, and auxiliaries are fitted side by side. What is common to all is the norm of the
 * gradients, which is put together from those of each in the order in which one learner has them: the numbers are those of one
 * learner, to the bit.
 */
export class ThreadedLearner implements Learner {
  readonly #threads: readonly FitThread[]
  readonly #interval: number
  /** By site, in the plan's order. */
  readonly #ofSite: ReadonlyMap<string, FitThread>
  /** By parameter, in the order of one learner. */
  readonly #ofParameter: ReadonlyMap<string, FitThread>
  #batch = emptyBatch()

  private constructor ({ auxiliaries, interval }: LearnerPlan, running: readonly Running[]) {
    this.#threads = running.map(({ thread }) => thread)
    this.#interval = interval
    const places = new Map(auxiliaries.map(({ site }, place) => [site.name, place]))
    const sites = running.flatMap(({ thread, parameters }) => [...parameters].map(([site, names]) => ({ site, names, thread })))
      .sort((a, b) => (places.get(a.site) ?? 0) - (places.get(b.site) ?? 0))
    this.#ofSite = new Map(sites.map(({ site, thread }) => [site, thread]))
    this.#ofParameter = new Map(sites.flatMap(({ site, names, thread }) => names.map(name => [`${site}.${name}`, thread] as const)))
  }

  /** @throws what `learnerOf` throws; {InvalidOptionError} if fits are private */
  static async start (plan: LearnerPlan, { threads, backend }: ThreadedLearnerInit): Promise<ThreadedLearner> {
    if (plan.privacy !== undefined) throw new InvalidOptionError('private fits take the norm of a row\'s gradients at all sites, and are done in one thread')
    const copies = new SharedCopies()
    const started = await Promise.allSettled(sharesOf(plan.auxiliaries, threads).map(async auxiliaries => {
      const thread = new FitThread({ plan: { ...plan, auxiliaries }, backend }, copies)
      try {
        return { thread, parameters: await thread.call('ready') }
      } catch (error) {
        await thread.close()
        throw error
      }
    }))
    try {
      return new ThreadedLearner(plan, valuesOf(started))
    } catch (error) {
      await Promise.all(started.map(async result => { if (result.status === 'fulfilled') await result.value.thread.close() }))
      throw error
    }
  }

  get fits (): number { return this.#threads[0].progress.fits }
  get ready (): boolean { return this.#threads[0].progress.gathered >= this.#interval }

  get failure (): Error | undefined { return this.#threads.find(({ failure }) => failure !== undefined)?.failure }

  /** Fits are not private. */
  beginBatch (): void {}

  async gather (site: string, data: SiteData): Promise<void> {
    const batch = this.#batch
    const thread = this.#ofSite.get(site)
    if (thread === undefined || batch.sites.has(site)) {
      throw unexpectedSite(site, this.#sites)
    }
    await thread.room(WAITING)
    if (batch.failure !== undefined) throw batch.failure
    batch.sites.add(site)
    batch.underWay.push(thread.call('gather', site, data).catch((error: unknown) => { batch.failure ??= error as Error }))
  }

  async endBatch (weight = 1): Promise<void> {
    const batch = this.#batch
    await Promise.all(batch.underWay)
    const missing = this.#sites.filter(site => !batch.sites.has(site))
    if (batch.failure !== undefined || missing.length > 0) {
      this.dropBatch()
      throw batch.failure ?? missingSites(missing)
    }
    this.#batch = emptyBatch()
    await this.#all(async thread => await thread.call('endBatch', weight))
  }

  dropBatch (): void {
    if (this.#batch.underWay.length > 0) {
      for (const thread of this.#threads) thread.call('dropBatch').catch(() => {}) // where no thread is, no batch is either
    }
    this.#batch = emptyBatch()
  }

  async fit (): Promise<Fit | undefined> {
    if (this.#threads[0].progress.gathered === 0) return undefined
    const own = new Map((await this.#all(async thread => await thread.call('norms'))).flatMap(norms => [...norms]))
    const norms = new Map([...this.#ofParameter.keys()].map(name => [name, own.get(name) ?? NaN]))
    const [fit] = await this.#all(async thread => await thread.call('fit', norms))
    return fit
  }

  async adapter (): Promise<AdapterTensors> {
    return this.#joined(await this.#all(async thread => await thread.call('adapter')))
  }

  async contributed (): Promise<AdapterTensors> {
    return this.#joined(await this.#all(async thread => await thread.call('contributed')))
  }

  async assign (adapter: AdapterTensors): Promise<void> {
    checkSitesOf(adapter, this.#sites)
    const ownOf = (thread: FitThread): AdapterTensors => new Map([...adapter].filter(([site]) => this.#ofSite.get(site) === thread))
    await this.#all(async thread => await thread.call('check', shapesOf(ownOf(thread)))) // all of them before any is changed
    await this.#all(async thread => await thread.call('assign', ownOf(thread)))
  }

  async state (): Promise<NamedTensors> {
    return new Map((await this.#all(async thread => await thread.call('state'))).flatMap(state => [...state]))
  }

  async restore (state: NamedTensors): Promise<void> {
    this.dropBatch()
    await this.#all(async thread => await thread.call('restore', new Map([...state].filter(([name]) => (this.#ofParameter.get(parameterOf(name)) ?? thread) === thread))))
  }

  async dispose (): Promise<void> {
    await Promise.all(this.#threads.map(async thread => await thread.close()))
  }

  get #sites (): string[] { return [...this.#ofSite.keys()] }

  /** What all say, once all have. */
  async #all<T> (call: (thread: FitThread) => Promise<T>): Promise<T[]> {
    return valuesOf(await Promise.allSettled(this.#threads.map(call)))
  }

  #joined (adapters: readonly AdapterTensors[]): AdapterTensors {
    const all: AdapterTensors = new Map(adapters.flatMap(adapter => [...adapter]))
    return new Map(this.#sites.map(site => [site, all.get(site) ?? new Map()]))
  }
}

function emptyBatch (): Arriving {
  return { sites: new Set(), underWay: [] }
}

/** @throws the first reason of those that were rejected */
function valuesOf<T> (results: ReadonlyArray<PromiseSettledResult<T>>): T[] {
  return results.map(result => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

/** The same names and shapes, without values. */
function shapesOf (adapter: AdapterTensors): AdapterTensors {
  return new Map([...adapter].map(([site, own]) => [site, new Map([...own].map(([name, { shape }]) => [name, { shape, values: new Float32Array() }]))]))
}
