import { createHash } from 'node:crypto'
import { isMergeableKind, isRanked, patternAt, scaleAt, seenBy } from '../../auxiliary-spec.js'
import { InvalidAdapterError, InvalidOptionError, UnknownSiteError } from '../../errors.js'
import { encodeAdapter } from '../../gl/adapter-message.js'
import { parameterShapes } from '../../gl/auxiliary.js'
import { composedSpec, type FrozenFactors } from '../../gl/composed-auxiliary.js'
import type { GradientLearner } from '../../gl/gradient-learner.js'
import { type AuxiliaryPlan, learnerOf, type LearnerPlan } from '../../gl/learner-plan.js'
import type { OptimizerKind } from '../../gl/optimizer.js'
import type { Adapter } from '../../gl/peft/adapter.js'
import { readAdapter } from '../../gl/peft/read-adapter.js'
import type { PrivateFits } from '../../gl/privacy/private-gathering.js'
import { type Job, jobId, specsOf } from '../../job.js'
import type { ModelInfo } from '../../model/base-model.js'
import { selectSites } from '../../model/sites.js'
import type { WeightNorms } from '../../tensor/weight-norms.js'
import type { AdapterTensors, AuxiliaryKind, AuxiliarySpec, Site } from '../../types.js'
import { MIXED, type TrainOptions } from './options.js'
import type { EarlierAdapters } from './review.js'

/**
 * Peak learning rates, unless told otherwise: the paper's, the default of `torch.optim.Adafactor`, which is relative to
 * the size of each parameter, and a third of AdamW's for Lion (arXiv 2302.06675, section 5: 3 to 10 times smaller).
 */
export const RATES: Readonly<Record<OptimizerKind, number>> = { adamw: 3e-4, sgd: 3e-2, adafactor: 1e-2, lion: 1e-4 }

const RANK = 8

/** Earlier adapters, and one that is fitted beside them. */
interface Composed {
  readonly adapters: EarlierAdapters
  /** Of the one that is fitted. */
  readonly own: AuxiliarySpec
  /** At each site, by its name. */
  readonly factors: ReadonlyMap<string, readonly FrozenFactors[]>
}

/** What a trainer is going to do, as its options, the model and the adapter that it starts from say. */
export interface Plan {
  readonly job: Job
  /** In the job's order. */
  readonly sites: readonly Site[]
  /** Of this trainer's auxiliaries as they run beside the base model. */
  readonly auxiliary: AuxiliarySpec
  /** What stands still beside those that are fitted, where anything does. */
  readonly composed?: Composed
  /** Where it fits them, in the job's order. */
  readonly fitted: readonly Site[]
  /** The auxiliaries to start from; undefined for the seed's. */
  readonly start: AdapterTensors | undefined
}

/**
 * @throws {UnknownSiteError} if the model lacks a site
 * @throws {InvalidAdapterError} if the adapter cannot be read, or is not what the options say
 * @throws {InvalidOptionError} if auxiliaries cannot be mixed, or merged, as the options say, or there are none of their kind at a site
 */
export async function planOf (options: TrainOptions, model: ModelInfo): Promise<Plan> {
  const adapter = options.adapter === undefined ? undefined : await readAdapter(options.adapter)
  const adapters = await earlierAdapters(options)
  const chosen = selectSites(model, options.sites ?? [...adapter?.tensors.keys() ?? sitesOf(adapters) ?? model.defaultSites])
  const sites = [...chosen].sort((a, b) => a.name < b.name ? -1 : 1)
  const fitted = fittedSites(options, model, sites)
  const own = adapter?.spec ?? auxiliaryOf(options, sites)
  const composed = adapters.size === 0 ? undefined : { adapters, own, factors: factorsAt(adapters, sites) }
  const { kind, ...auxiliary } = withDropout(composed === undefined ? own : composedSpec(own, composed.factors), options.dropout ?? own.dropout ?? 0)
  const kinds = (options.aux ?? kind).split(MIXED) as AuxiliaryKind[]
  const { mode, interval, seed, quorum, merge = mode === 'collaboration' ? 'during' : 'never' } = options
  const job = { name: options.job, model: model.id, sites: sites.map(site => site.name), auxiliary, kinds, mode, merge, interval, seed, ...(quorum < 1 && { quorum }) }
  if (adapter !== undefined) checkAgrees(options, adapter, job)
  checkKinds(job, kind)
  for (const spec of specsOf(job)) sites.forEach(site => parameterShapes(spec, site))
  return { job, sites, fitted, auxiliary: { kind, ...auxiliary }, ...(composed && { composed }), start: adapter?.tensors }
}

async function earlierAdapters ({ beside = {} }: TrainOptions): Promise<EarlierAdapters> {
  const read = await Promise.all(Object.entries(beside).map(async ([task, folder]) => {
    const adapter = await readAdapter(folder)
    if (adapter.spec.kind !== 'low-rank') throw new InvalidAdapterError(`--beside ${task}: ${folder} is ${adapter.spec.kind}; only low-rank adapters stand beside others`)
    return [task, adapter] as const
  }))
  return new Map(read)
}

function sitesOf (adapters: EarlierAdapters): string[] | undefined {
  return adapters.size === 0 ? undefined : [...new Set([...adapters.values()].flatMap(({ tensors }) => [...tensors.keys()]))]
}

/** @throws {InvalidAdapterError} if an adapter has a site that is not among these, or in another shape: it would be another one without */
function factorsAt (adapters: EarlierAdapters, sites: readonly Site[]): Map<string, FrozenFactors[]> {
  const factors = new Map(sites.map(({ name }): [string, FrozenFactors[]] => [name, []]))
  for (const [task, { spec, tensors }] of adapters) {
    for (const [name, own] of tensors) {
      const [a, b] = [own.get('lora_A.weight'), own.get('lora_B.weight')]
      const site = sites.find(candidate => candidate.name === name)
      if (site === undefined || a?.shape[1] !== site.inFeatures || b?.shape[0] !== site.outFeatures || a.shape[0] !== b.shape[1]) {
        throw new InvalidAdapterError(`the adapter of ${task} has ${name}, which is no site of the job, or of another size; --sites must select all sites of --beside`)
      }
      factors.get(name)?.push({ scale: scaleAt(spec, name), a, b })
    }
  }
  return factors
}

function withDropout ({ dropout: _, ...spec }: AuxiliarySpec, dropout: number): AuxiliarySpec {
  return { ...spec, ...(dropout > 0 && { dropout }) }
}

function auxiliaryOf ({ aux = 'low-rank', ownAux, rank = RANK, alpha = rank, rankPattern = {}, alphaPattern = {}, rslora }: TrainOptions, sites: readonly Site[]): AuxiliarySpec {
  const [ranks, alphas] = [valuesAt('--rank-pattern', rankPattern, sites), valuesAt('--alpha-pattern', alphaPattern, sites)]
  return {
    kind: ownAux ?? aux.split(MIXED)[0] as AuxiliaryKind,
    rank,
    alpha,
    ...(Object.keys(ranks).length > 0 && { ranks }),
    ...(Object.keys(alphas).length > 0 && { alphas }),
    ...(rslora && { rankStabilised: true })
  }
}

/** What patterns give the sites, by full name. @throws {UnknownSiteError} if one gives none of them anything */
function valuesAt (option: string, patterns: Readonly<Record<string, number>>, sites: readonly Site[]): Record<string, number> {
  for (const [pattern, value] of Object.entries(patterns)) {
    if (sites.every(({ name }) => matched({ [pattern]: value }, name) === undefined)) {
      throw new UnknownSiteError(`${option} ${pattern}=${value} is for none of the sites; they are ${sites.map(({ name }) => name).join(', ')}`)
    }
  }
  return Object.fromEntries(sites.flatMap(({ name }) => {
    const own = matched(patterns, name)
    return own === undefined ? [] : [[name, own]]
  }))
}

function matched (patterns: Readonly<Record<string, number>>, site: string): number | undefined {
  try {
    return patternAt(patterns, site)
  } catch (cause) {
    throw new UnknownSiteError(`${Object.keys(patterns).join(', ')}: ${(cause as Error).message}`, { cause })
  }
}

function fittedSites ({ fitSites }: TrainOptions, model: ModelInfo, sites: readonly Site[]): readonly Site[] {
  if (fitSites === undefined) return sites
  const wanted = selectSites(model, fitSites)
  const other = wanted.find(({ name }) => sites.every(site => site.name !== name))
  if (other !== undefined) throw new UnknownSiteError(`--fit-sites selects ${other.name}, which is no site of the job; --sites selects ${sites.map(({ name }) => name).join(', ')}`)
  return sites.filter(({ name }) => wanted.some(site => site.name === name))
}

function checkKinds ({ kinds, mode, merge, auxiliary: { dropout = 0 } }: Job, own: AuxiliaryKind): void {
  if (!kinds.includes(own)) throw new InvalidOptionError(`this trainer's own auxiliaries are ${own}, which is none of the job's: ${kinds.join(MIXED)}`)
  if (mode === 'joint' && kinds.length > 1) throw new InvalidOptionError(`the members of a joint job move one auxiliary: ${kinds.join(MIXED)} cannot be mixed; use --mode alone or collaboration`)
  const unmergeable = kinds.find(kind => !isMergeableKind(kind))
  if (merge !== 'never' && mode !== 'collaboration' && unmergeable !== undefined) {
    throw new InvalidOptionError(`${unmergeable} auxiliaries cannot be merged; use --merge never`)
  }
  if (merge === 'during' && dropout > 0) {
    throw new InvalidOptionError(`a dropout of ${dropout} is of auxiliaries that run beside the base model in training; use --merge never or after, or --dropout 0`)
  }
  const seeing = kinds.find(kind => seenBy(kind) !== undefined)
  if (merge !== 'never' && seeing !== undefined && kinds.some(isMergeableKind)) {
    throw new InvalidOptionError(`${seeing} auxiliaries change what the module itself gives, without what others have merged into it; use --merge never`)
  }
}

function checkAgrees (options: TrainOptions, { spec, tensors }: Adapter, { sites }: Job): void {
  if (spec.shares !== undefined) throw new InvalidAdapterError(`${options.adapter ?? ''} is one of several that are one adapter together; start from a whole one`)
  const { adapter = '', rankPattern, alphaPattern, rslora } = options
  const found = [...tensors.keys()].sort()
  if (found.join() !== sites.join()) {
    throw new InvalidAdapterError(`${adapter} has auxiliaries for ${found.join(', ')}; --sites selects ${sites.join(', ')}`)
  }
  if (rankPattern !== undefined || alphaPattern !== undefined || rslora) {
    throw new InvalidAdapterError(`the ranks and alphas of ${adapter} are its own; leave out --rank-pattern, --alpha-pattern and --rslora, or start without --adapter`)
  }
  const wanted = { kind: options.ownAux ?? spec.kind, rank: options.rank ?? spec.rank, alpha: options.alpha ?? spec.alpha }
  if (wanted.kind !== spec.kind || (isRanked(spec.kind) && wanted.rank !== spec.rank) || wanted.alpha / wanted.rank !== spec.alpha / spec.rank) {
    const text = ({ kind, rank, alpha }: AuxiliarySpec): string => `${kind}, rank ${rank}, alpha ${alpha}`
    throw new InvalidAdapterError(`${adapter} is ${text(spec)}; the options say ${text(wanted)}. Leave them out, or start without --adapter`)
  }
}

/** What a learner starts with beside its plan. */
export interface LearnerStart {
  /** Norms of the rows of the sites' weights, where the auxiliaries start from them. */
  readonly norms?: WeightNorms
  /** Whether rows are private. @default they are not */
  readonly privacy?: PrivateFits
}

/** The learner that follows the options, at its start, in this thread. */
export function createLearner (options: TrainOptions, plan: Plan, start: LearnerStart = {}): GradientLearner {
  return learnerOf(learnerPlan(options, plan, start))
}

/** What the learner that follows the options is made of. */
export function learnerPlan (options: TrainOptions, plan: Plan, { norms = new Map(), privacy }: LearnerStart = {}): LearnerPlan {
  const { optimizer, lr, weightDecay, schedule, warmup, steps, interval, maxGradNorm, clip } = options
  const fits = Math.ceil(steps / interval)
  return {
    auxiliaries: plan.fitted.map(site => auxiliaryAt(site, plan, options, norms)),
    optimizer: { kind: optimizer, weightDecay },
    schedule: { kind: schedule, rate: lr ?? RATES[optimizer], fits, ...(warmup === undefined ? {} : { warmup }) },
    interval,
    clip,
    ...(maxGradNorm === undefined ? {} : { maxNorm: maxGradNorm }),
    ...(privacy && { privacy })
  }
}

function auxiliaryAt (site: Site, { auxiliary, composed, start: tensors }: Plan, { seed, compose: composition }: TrainOptions, norms: WeightNorms): AuxiliaryPlan {
  const norm = norms.get(site.name)
  const start = tensors === undefined ? { seed, ...(norm && { norm }) } : { tensors: tensors.get(site.name) ?? new Map() }
  return composed === undefined
    ? { site, spec: auxiliary, start }
    : { site, spec: composed.own, start, beside: { earlier: composed.factors.get(site.name) ?? [], composition } }
}

/** Names all that decides the numbers of a run: sha-256 in hex. */
export function runId (options: TrainOptions, { job, auxiliary: { kind }, composed, fitted, start }: Plan, fingerprint: string): string {
  const { optimizer, lr, weightDecay, schedule, warmup, maxGradNorm, clip, batchSize, groupByLength, steps, wire, dpClip, dpNoise, dpEpsilon, dpDelta } = options
  const ahead = options.stale === 'decay' && options.ahead > 0 ? options.ahead : undefined // else it decides nothing
  const decisive = { job: jobId(job), kind, fitted: fitted.map(({ name }) => name), fingerprint, optimizer, lr, weightDecay, schedule, warmup, maxGradNorm, clip, batchSize, groupByLength, steps, wire, dpClip, dpNoise, dpEpsilon, dpDelta, ahead }
  const hash = createHash('sha256').update(JSON.stringify(decisive))
  if (start !== undefined) hash.update(encodeAdapter(start))
  for (const { spec, tensors } of composed?.adapters.values() ?? []) hash.update(JSON.stringify([options.compose, spec])).update(encodeAdapter(tensors))
  return hash.digest('hex')
}
