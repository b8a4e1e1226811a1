import { createHash } from 'node:crypto'
import { InvalidAdapterError } from '../../errors.js'
import { encodeAdapter } from '../../gl/adapter-message.js'
import { Auxiliary } from '../../gl/auxiliary.js'
import { GradientLearner } from '../../gl/gradient-learner.js'
import { Optimizer } from '../../gl/optimizer.js'
import { type Adapter, readAdapter } from '../../gl/peft.js'
import { createSchedule } from '../../gl/schedule.js'
import { type Job, jobId } from '../../job.js'
import type { ModelInfo } from '../../model/base-model.js'
import { selectSites } from '../../model/sites.js'
import type { AdapterTensors, AuxiliarySpec, Site } from '../../types.js'
import type { TrainOptions } from './options.js'

/** Peak learning rates, unless told otherwise: the paper's. */
const RATES = { adamw: 3e-4, sgd: 3e-2 } as const

const RANK = 8

/** What a trainer is going to do, as its options, the model and the adapter that it starts from say. */
export interface Plan {
  readonly job: Job
  /** In the job's order. */
  readonly sites: readonly Site[]
  /** The auxiliaries to start from; undefined for the seed's. */
  readonly start: AdapterTensors | undefined
}

/**
 * @throws {UnknownSiteError} if the model lacks a site
 * @throws {InvalidAdapterError} if the adapter cannot be read, or is not what the options say
 */
export async function planOf (options: TrainOptions, model: ModelInfo): Promise<Plan> {
  const adapter = options.adapter === undefined ? undefined : await readAdapter(options.adapter)
  const chosen = selectSites(model, options.sites ?? [...adapter?.tensors.keys() ?? model.defaultSites])
  const sites = [...chosen].sort((a, b) => a.name < b.name ? -1 : 1)
  const { name, mode, interval, seed } = { name: options.job, ...options }
  const job = { name, model: model.id, sites: sites.map(site => site.name), auxiliary: auxiliaryOf(options, adapter), mode, interval, seed }
  if (adapter !== undefined) checkAgrees(options, adapter, job)
  return { job, sites, start: adapter?.tensors }
}

function auxiliaryOf ({ aux, rank, alpha }: TrainOptions, adapter: Adapter | undefined): AuxiliarySpec {
  if (adapter !== undefined) return adapter.spec
  const { kind, rank: chosen } = { kind: aux ?? 'low-rank', rank: rank ?? RANK } as const
  return { kind, rank: chosen, alpha: alpha ?? chosen }
}

function checkAgrees (options: TrainOptions, { spec, tensors }: Adapter, { sites }: Job): void {
  const wanted = { kind: options.aux ?? spec.kind, rank: options.rank ?? spec.rank, alpha: options.alpha ?? spec.alpha }
  const found = [...tensors.keys()].sort()
  if (found.join() !== sites.join()) {
    throw new InvalidAdapterError(`${options.adapter ?? ''} has auxiliaries for ${found.join(', ')}; --sites selects ${sites.join(', ')}`)
  }
  if (wanted.kind !== spec.kind || (spec.kind === 'low-rank' && wanted.rank !== spec.rank) || wanted.alpha / wanted.rank !== spec.alpha / spec.rank) {
    const text = ({ kind, rank, alpha }: AuxiliarySpec): string => `${kind}, rank ${rank}, alpha ${alpha}`
    throw new InvalidAdapterError(`${options.adapter ?? ''} is ${text(spec)}; the options say ${text(wanted)}. Leave them out, or start without --adapter`)
  }
}

/** The learner that follows the options, at its start. */
export function createLearner (options: TrainOptions, { job, sites, start }: Plan): GradientLearner {
  const { optimizer, lr, weightDecay, schedule, warmup, steps, interval, maxGradNorm, seed } = options
  const fits = Math.ceil(steps / interval)
  return new GradientLearner({
    auxiliaries: sites.map(site => new Auxiliary(job.auxiliary, site, start === undefined ? { seed } : { tensors: start.get(site.name) ?? new Map() })),
    optimizer: new Optimizer(optimizer, weightDecay),
    schedule: createSchedule({ kind: schedule, rate: lr ?? RATES[optimizer], fits, ...(warmup === undefined ? {} : { warmup }) }),
    interval,
    ...(maxGradNorm === undefined ? {} : { maxNorm: maxGradNorm })
  })
}

/** Names all that decides the numbers of a run: sha-256 in hex. */
export function runId (options: TrainOptions, { job, start }: Plan, fingerprint: string): string {
  const { optimizer, lr, weightDecay, schedule, warmup, maxGradNorm, batchSize, groupByLength, steps, wire } = options
  const decisive = { job: jobId(job), fingerprint, optimizer, lr, weightDecay, schedule, warmup, maxGradNorm, batchSize, groupByLength, steps, wire }
  const hash = createHash('sha256').update(JSON.stringify(decisive))
  if (start !== undefined) hash.update(encodeAdapter(start))
  return hash.digest('hex')
}
