import type { PeerId } from '@libp2p/interface'
import { isRanked, needNorms, seenBy } from '../../auxiliary-spec.js'
import { InvalidBatchError, InvalidOptionError, ModelMismatchError, ProtocolError, UnknownJobError, UnknownSiteError } from '../../errors.js'
import { hasFactors } from '../../gl/factor-gradients.js'
import { hasProduct } from '../../gl/products.js'
import { type Job, specsOf } from '../../job.js'
import { checkBatch } from '../../model/tasks/tasks.js'
import { tokensOf } from '../../places.js'
import { verifyRecord } from '../../protocols/contribution/index.js'
import type { OpenReply, StepReply, StepRequest } from '../../protocols/step/index.js'
import { isSummed } from '../../tensor/adaptation.js'
import { dropoutKey } from '../../tensor/dropout.js'
import type { WeightNorms } from '../../tensor/weight-norms.js'
import type { AdaptationData, FloatTensor, Site, WireForm } from '../../types.js'
import { type Applied, appliedTo, BASE_ALONE } from '../applied.js'
import { type Member, memberOf } from '../job-members.js'
import type { Jobs, JoinedJob } from '../jobs.js'
import type { EncodedParts } from './encoded-part.js'
import type { LentModel } from './lent-model.js'
import { PassQueue } from './pass-queue.js'

/** What a host takes on. */
export interface HostLimits {
  /** Rows in a batch. @default 64 */
  readonly rows: number
  /** Tokens in a batch, padding included. @default 16_384 */
  readonly tokens: number
  /** Of a low-rank auxiliary. @default 256 */
  readonly rank: number
}

export const DEFAULT_LIMITS: HostLimits = { rows: 64, tokens: 16_384, rank: 256 }

/** Of a host for its own process alone. */
export const UNLIMITED: HostLimits = { rows: Number.MAX_SAFE_INTEGER, tokens: Number.MAX_SAFE_INTEGER, rank: Number.MAX_SAFE_INTEGER }

export interface HostInit {
  /** Belongs to who made it. */
  readonly model: LentModel
  readonly jobs: Jobs
  readonly limits?: Partial<HostLimits>
}

/** How a trainer wants adaptation data: as tensors, or as parts that can be sent. */
export type Delivery = 'tensors' | 'parts'

/** A step's outcome, and for a training step what Gradient Learning needs. */
export interface HostedStep {
  readonly reply: StepReply
  readonly data: AdaptationData
  readonly parts: EncodedParts
}

/** How much a new measurement moves the speed that is told. */
const SMOOTHING = 0.2

/**
 * The host's role (arXiv 2404.13844, Algorithm 1, server): it runs f with what belongs to the trainer's job, forward and
 * backward, and gives x and ∇ĥ of each site, or where a trainer asks for it what they do to the factors of its auxiliary, or to any
 * that is linear in x.
 * No gradient of the base model's own weights is ever computed.
 */
export class Host {
  readonly model: LentModel
  readonly limits: HostLimits
  readonly jobs: Jobs
  readonly #queue: PassQueue
  /** Of sites that were asked for. */
  readonly #startNorms = new Map<string, FloatTensor>()
  #tokensPerSecond = 0
  #steps = 0

  constructor ({ model, jobs, limits = {} }: HostInit) {
    this.model = model
    this.jobs = jobs
    this.limits = { ...DEFAULT_LIMITS, ...limits }
    for (const [name, value] of Object.entries(this.limits)) {
      if (!Number.isSafeInteger(value) || value < 1) throw new InvalidOptionError(`a limit of ${value} ${name} is not possible; use a whole number from 1`)
    }
    this.#queue = new PassQueue(model)
  }

  /** Measured, forward and backward, padding included; 0 before the first step. */
  get tokensPerSecond (): number { return this.#tokensPerSecond }

  /** Training steps done. */
  get steps (): number { return this.#steps }

  /**
   * Makes a job known here.
   *
   * @throws {ModelMismatchError} if it is for another model
   * @throws {UnknownSiteError} if the model lacks one of its sites
   * @throws {InvalidOptionError} if it is more than the limits allow
   */
  open (job: Job): OpenReply {
    const { id, name } = this.model.info
    if (job.model !== id) throw new ModelMismatchError(`the job is for model ${job.model}; this host serves ${id} (${name})`)
    const rank = highestRank(job)
    if (rank > this.limits.rank) throw new InvalidOptionError(`rank ${rank}; this host accepts at most ${this.limits.rank}`)
    const sites = job.sites.map(name => this.#site(name))
    this.jobs.join(job, sites)
    return { model: id, sites }
  }

  /** Norms of the rows of the weights of a job's sites, where its auxiliaries start from them; else nothing. */
  async startNorms ({ kinds, sites }: Job): Promise<WeightNorms> {
    if (!needNorms(kinds)) return new Map()
    const unknown = sites.filter(site => !this.#startNorms.has(site))
    if (unknown.length > 0) {
      for (const [site, norm] of await this.#queue.between(async model => await model.startNorms(unknown))) this.#startNorms.set(site, norm)
    }
    return new Map([...this.#startNorms].filter(([site]) => sites.includes(site)))
  }

  /**
   * @throws {UnknownJobError} if the job was not opened here
   * @throws {InvalidBatchError} if the batch does not fit the model or the limits
   * @throws {InvalidOptionError} if a summed form is asked for that the trainer's auxiliaries are not fitted from
   * @throws {ProtocolError} if the contribution is not the trainer's own, or not signed by it, or one is needed and there is none
   * @throws {NonFiniteError} if the loss is NaN or infinite
   */
  async step (peer: PeerId, request: StepRequest, delivery: Delivery, signal: AbortSignal): Promise<HostedStep> {
    const joined = this.#joined(request)
    this.check(request)
    const unknown = request.sites.find(site => !joined.job.sites.includes(site))
    if (unknown !== undefined) throw new UnknownSiteError(`${unknown} is no site of the job`)
    const own = await this.#take(peer, request, joined, signal)
    return await this.#run(peer.toString(), own, request, joined, delivery, signal)
  }

  async #run (
    trainer: string, own: Member | undefined, { batch, adapted, purpose, job, step, wire, sites, together }: StepRequest, joined: JoinedJob, delivery: Delivery, signal: AbortSignal
  ): Promise<HostedStep> {
    const { members, job: { seed, auxiliary: { dropout = 0 } } } = joined
    const { loss, tokens, applied: { version, records = [] }, data, parts, timings, shared } = await this.#queue.pass({
      job,
      trainer,
      batch,
      ...(together && { together: { id: `${trainer}/${together.id}`, size: together.size } }),
      wire: purpose === 'train' ? wire : 'f32',
      encoded: delivery === 'parts',
      ...(purpose === 'train' && dropout > 0 && { dropout: { rate: dropout, key: dropoutKey(seed, trainer, step) } }),
      ...(purpose === 'train' && wire === 'int8' && { feedback: { key: `${trainer}/${job}`, step } }),
      sites: purpose === 'train' ? sites : [],
      rank: highestRank(joined.job),
      applied: () => {
        const applied = adapted ? appliedTo(trainer, joined.job, members, purpose, own) : BASE_ALONE
        if (purpose === 'train' && isOfFactors(wire, applied)) checkFactors(applied, sites)
        else if (purpose === 'train' && (wire === 'product' || wire === 'int8')) checkLinear(applied, joined.job)
        if (purpose === 'train' && !isSummed(wire)) checkSeen(applied, joined.job, sites)
        return applied
      }
    }, signal)
    if (purpose === 'train') this.#measure(tokensOf(batch, this.model.info.sites), timings.pass)
    return { reply: { loss, tokens, version, members: [...records], timings, shared }, data, parts }
  }

  /**
   * The trainer's auxiliary counts before the pass begins, unless a later one does.
   *
   * @returns the one for which the batch is made; undefined where there is none, or all rows meet one mean
   */
  async #take (peer: PeerId, { contribution, job: id }: StepRequest, { job, members }: JoinedJob, signal: AbortSignal): Promise<Member | undefined> {
    if (contribution === null) return undefined
    if (contribution.job !== id || contribution.peer !== peer.toString()) {
      throw this.#forgery(peer, 'the contribution of a step must be of its job, and its trainer\'s own')
    }
    if (!await verifyRecord(contribution)) throw this.#forgery(peer, 'the contribution\'s signature is wrong')
    await members.fetch(contribution, signal)
    return job.mode === 'joint' ? undefined : memberOf(contribution, await members.contributedBy(contribution, signal))
  }

  /** No trainer sends what it did not sign. */
  #forgery (peer: PeerId, what: string): ProtocolError {
    this.jobs.breach(peer, what)
    return new ProtocolError(what)
  }

  #joined ({ job }: StepRequest): JoinedJob {
    const joined = this.jobs.get(job)
    if (joined === undefined) throw new UnknownJobError(`job ${job} is not open here`)
    return joined
  }

  /**
   * What a step takes, in tokens.
   *
   * @throws {UnknownJobError} if the job was not opened here
   * @throws {InvalidBatchError} if the batch does not fit the model or the limits
   */
  check (request: StepRequest): number {
    const { batch } = request
    const { rows } = batch
    this.#joined(request)
    checkBatch(batch, this.model.info)
    if (rows > this.limits.rows) throw new InvalidBatchError(`${rows} rows; this host accepts at most ${this.limits.rows} in a batch`)
    const tokens = tokensOf(batch, this.model.info.sites)
    if (tokens > this.limits.tokens) {
      throw new InvalidBatchError(`${rows} rows of ${tokens / rows} tokens; this host accepts at most ${this.limits.tokens} tokens in a batch`)
    }
    return tokens
  }

  #site (name: string): Site {
    const site = this.model.info.sites.find(site => site.name === name)
    if (site === undefined) throw new UnknownSiteError(`this model has no site ${name}`)
    return site
  }

  #measure (tokens: number, milliseconds: number): void {
    const speed = 1000 * tokens / milliseconds
    this.#tokensPerSecond = this.#steps === 0 ? speed : (1 - SMOOTHING) * this.#tokensPerSecond + SMOOTHING * speed
    this.#steps++
  }
}

/** Where nothing of the trainer's auxiliary is known what is rounded cannot be told from them. */
function isOfFactors (wire: WireForm, { own }: Applied): boolean {
  return wire === 'int8' ? own === undefined || hasFactors(own.spec) : wire === 'factors'
}

function checkFactors ({ own }: Applied, sites: readonly string[]): void {
  if (own === undefined) throw new ProtocolError('the gradients of a trainer\'s factors need its contribution, and there is none')
  const { spec, adapter } = own
  if (!hasFactors(spec)) throw new InvalidOptionError(`${spec.kind} auxiliaries have no factors; use the wire form f32, bf16 or f16`)
  const missing = sites.find(site => !adapter.has(site))
  if (missing !== undefined) throw new ProtocolError(`the trainer's contribution has no factors of ${missing}, whose gradients it wants`)
}

/** What is linear in x is fitted from Σ∇ĥ·xᵀ, whatever its values. */
function checkLinear ({ own }: Applied, job: Job): void {
  const specs = own === undefined ? specsOf(job) : [own.spec]
  if (!specs.some(hasProduct)) throw new InvalidOptionError(`${specs.map(({ kind }) => kind).join(', ')} auxiliaries are not linear in x; use the wire form f32, bf16 or f16`)
}

/** Which of the module's results are wanted is told by the kind that the trainer fits. */
function checkSeen ({ own }: Applied, { kinds }: Job, sites: readonly string[]): void {
  if (own === undefined) {
    const seeing = kinds.find(kind => seenBy(kind) !== undefined)
    if (seeing !== undefined) throw new ProtocolError(`what ${seeing} auxiliaries are fitted from needs the trainer's contribution, and there is none`)
    return
  }
  const missing = seenBy(own.spec.kind) === undefined ? undefined : sites.find(site => !own.adapter.has(site))
  if (missing !== undefined) throw new ProtocolError(`the trainer's contribution has no ${own.spec.kind} auxiliary of ${missing}, whose data it wants`)
}

/** Of auxiliaries that have one; 0 where none has. */
function highestRank (job: Job): number {
  return Math.max(0, ...specsOf(job).filter(({ kind }) => isRanked(kind)).flatMap(({ rank, ranks = {} }) => [rank, ...Object.values(ranks)]))
}
