import { Optimizer } from '../../src/gl/optimizer.js'
import { createSchedule } from '../../src/gl/schedule.js'
import { selectSites } from '../../src/model/sites.js'
import { countedIn } from '../../src/model/tasks/tasks.js'
import { evaluateRows } from '../../src/node/evaluation.js'
import type { TrainingData } from '../../src/node/trainer/training-data.js'
import type { AuxiliarySpec, Mode, NamedTensors, Site } from '../../src/types.js'
import { type Adapted, type BackPropagation, type Moving } from './back-propagation.js'
import { OrdinaryLearner, startOf } from './ordinary-learner.js'
import type { UserResult } from './result.js'
import { rateOf, type Settings, type Trained } from './task.js'

/** One who trains by back-propagation. */
export interface OrdinaryUser {
  readonly name: string
  readonly data: TrainingData
  readonly trained: Trained
}

export interface OrdinaryOptions {
  readonly settings: Settings
  readonly mode: Mode
  readonly seed: number
  readonly signal: AbortSignal
}

/** What a user has told the others: what it has learned, and from how many predictions. */
interface Told {
  readonly tokens: number
  readonly values: NamedTensors<Float32Array>
}

/** A user while it trains. */
interface Member extends OrdinaryUser {
  /** Undefined for one that trains the model's own weights. */
  readonly spec: AuxiliarySpec | undefined
  readonly learner: OrdinaryLearner
  readonly losses: number[]
  tokens: number
  told: Told
}

/**
 * The twin of Gradient Learning: the same start, batches, optimiser, schedule and rules of merging, but each gradient is
 * that of the whole adapted model by back-propagation. In collaboration the model has the mean of all adapters, of which
 * a user's is a share; as the paper has each user learn as if the whole of it were its own, the share is taken out of the
 * gradient again.
 */
export async function trainByBackPropagation (model: BackPropagation, users: readonly OrdinaryUser[], options: OrdinaryOptions): Promise<UserResult[]> {
  const { settings, mode, signal } = options
  const sites = [...selectSites(model.info, settings.sites ?? model.info.defaultSites)]
  const members = await Promise.all(users.map(async user => await memberOf(model, user, sites, options)))
  try {
    for (let step = 0; step < settings.steps; step++) {
      const met = members.map(member => stateOf(member, members, sites, mode))
      for (const [k, member] of members.entries()) {
        signal.throwIfAborted()
        await learn(model, member, met[k], step, options)
      }
      for (const [k, member] of members.entries()) {
        if (member.learner.step(step + 1 === settings.steps)) member.told = await toldBy(member, met[k], mode)
      }
    }
    return await Promise.all(members.map(async member => {
      const { adapted } = stateOf(member, members, sites, mode)
      const heldOut = await evaluateRows(model.predictions(adapted), member.data.heldOut, { signal, onProgress: () => {} })
      return { user: member.name, losses: member.losses, heldOut, parameters: sizeOf(member.told.values) }
    }))
  } finally {
    for (const { learner } of members) learner.dispose()
  }
}

async function memberOf (model: BackPropagation, user: OrdinaryUser, sites: readonly Site[], { settings, seed }: OrdinaryOptions): Promise<Member> {
  const { trained } = user
  const { rank, optimizer, schedule, steps, interval } = settings
  const spec = trained === 'sites' || trained === 'all' ? undefined : { kind: trained, rank, alpha: rank }
  const start = spec === undefined ? await model.weightsOf(trained === 'all' ? 'all' : sites) : await startOf(spec, sites, seed)
  const learner = new OrdinaryLearner({
    start,
    optimizer: new Optimizer(optimizer, 0),
    schedule: createSchedule({ kind: schedule, rate: rateOf(settings, trained), fits: Math.ceil(steps / interval) }),
    interval
  })
  return { ...user, spec, learner, losses: [], tokens: 0, told: { tokens: 0, values: start } }
}

async function learn (model: BackPropagation, member: Member, { adapted, moving, share }: State, step: number, { mode }: OrdinaryOptions): Promise<void> {
  const { learner, losses, data } = member
  const batch = await data.at(step)
  if (mode === 'joint') learner.assign(adapted.adapters[0].values)
  const { loss, gradients } = await model.differentiate(batch, adapted, moving)
  losses.push(loss)
  learner.take(gradients, 1 / share)
  member.tokens += countedIn(batch, model.info)
}

/** The adapted model as one user's rows meet it. */
interface State {
  readonly adapted: Adapted
  readonly moving: Moving
  /** Of what moves in the model. */
  readonly share: number
}

function stateOf (member: Member, members: readonly Member[], sites: readonly Site[], mode: Mode): State {
  const { spec, told } = member
  if (spec === undefined) return { adapted: { weights: told.values, adapters: [] }, moving: 'weights', share: 1 }
  const weights = new Map()
  const alone = (values: NamedTensors<Float32Array>): State => ({ adapted: { weights, adapters: [{ spec, sites, share: 1, values }] }, moving: 0, share: 1 })
  if (mode === 'alone') return alone(told.values)
  const shares = sharesOf(members)
  if (mode === 'joint') return alone(meanOf(members.map(({ told }) => told.values), shares))
  const adapters = members.flatMap(({ spec, told: { values } }, k) => spec === undefined ? [] : [{ spec, sites, share: shares[k], values }])
  const own = members.indexOf(member)
  return { adapted: { weights, adapters }, moving: own, share: shares[own] }
}

/** In a joint job it is what it told before, moved as it has moved the mean. */
async function toldBy ({ learner, told, tokens }: Member, { adapted }: State, mode: Mode): Promise<Told> {
  const values = await learner.values()
  if (mode !== 'joint') return { tokens, values }
  const [{ values: met }] = adapted.adapters
  return { tokens, values: new Map([...told.values].map(([name, { shape, values: own }]) => [name, { shape, values: own.map((value, i) => value + ((values.get(name)?.values[i] ?? NaN) - (met.get(name)?.values[i] ?? NaN))) }])) }
}

/** Of all predictions that were learned from; the same for all at the start. */
function sharesOf (members: readonly Member[]): number[] {
  const total = members.reduce((sum, { told }) => sum + told.tokens, 0)
  return members.map(({ told }) => total === 0 ? 1 / members.length : told.tokens / total)
}

function meanOf (all: ReadonlyArray<NamedTensors<Float32Array>>, shares: readonly number[]): NamedTensors<Float32Array> {
  return new Map([...all[0]].map(([name, { shape, values: { length } }]) => [name, {
    shape,
    values: Float32Array.from({ length }, (_, i) => all.reduce((sum, own, k) => sum + shares[k] * (own.get(name)?.values[i] ?? NaN), 0))
  }]))
}

function sizeOf (values: NamedTensors<Float32Array>): number {
  return [...values.values()].reduce((sum, { values: { length } }) => sum + length, 0)
}
