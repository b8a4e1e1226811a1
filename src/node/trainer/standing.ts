import { ProtocolError } from '../../errors.js'
import type { Learner } from '../../gl/learner.js'
import { ContributionMap } from '../../merge/contribution-map.js'
import { meanOfParameters } from '../../merge/mean-of-parameters.js'
import { verifyRecord } from '../../protocols/contribution/index.js'
import type { StepReply } from '../../protocols/step/index.js'
import type { AdapterTensors, FloatTensor } from '../../types.js'
import type { JoinedJob } from '../jobs.js'
import { type Member, memberOf } from '../job-members.js'

/** How what a trainer has learned stands to what its rows meet at the host, by the job's mode. */
export interface Standing {
  /** Called with each step's reply, before its adaptation data are used. */
  meet (reply: StepReply, signal: AbortSignal): Promise<void>
  /** What this trainer has learned: what it goes on from when it is started again. */
  own (): Promise<AdapterTensors>
  /** What it contributes after a fit, or at its start. */
  contributed (): Promise<AdapterTensors>
}

export async function standingIn (joined: JoinedJob, learner: Learner): Promise<Standing> {
  if (joined.job.mode !== 'joint') {
    return { meet: async ({ members }) => await hear(joined, members), own: async () => await learner.adapter(), contributed: async () => await learner.contributed() }
  }
  return new JointStanding(joined, learner, await learner.adapter())
}

/**
 * In a joint job everyone's rows meet the mean of all members' auxiliaries. A trainer takes its gradients there, at the
 * very state that the host ran, and adds what its fit moves to an auxiliary of its own: the mean then moves by the mean
 * of the moves.
 */
class JointStanding implements Standing {
  readonly #joined: JoinedJob
  readonly #learner: Learner
  #own: AdapterTensors
  /** What the learner went on from. */
  #met: AdapterTensors

  constructor (joined: JoinedJob, learner: Learner, start: AdapterTensors) {
    this.#joined = joined
    this.#learner = learner
    this.#own = start
    this.#met = start
  }

  async meet ({ version, members }: StepReply, signal: AbortSignal): Promise<void> {
    await hear(this.#joined, members)
    if (version === null) return // nobody has contributed yet: all are at the common start
    const state = new ContributionMap<Member>()
    for (const record of members) {
      state.add(memberOf(record, await this.#joined.members.contributedBy(record, signal)))
    }
    if (state.stateId() !== version) throw new ProtocolError('the host names another state than that of the members that it lists')
    const mean = meanOfParameters([...state])
    this.#met = new Map([...this.#own.keys()].map(site => [site, mean.get(site) ?? new Map<string, FloatTensor>()])) // what this trainer fits
    await this.#learner.assign(this.#met)
  }

  async own (): Promise<AdapterTensors> {
    const after = await this.#learner.adapter()
    this.#own = mapTensors(this.#own, (site, name, own) => moved(own, tensor(this.#met, site, name), tensor(after, site, name)))
    this.#met = after
    return this.#own
  }

  async contributed (): Promise<AdapterTensors> {
    return await this.own()
  }
}

/** Takes note of records of which a host has told. */
async function hear ({ members, id }: JoinedJob, records: StepReply['members']): Promise<void> {
  for (const record of records) {
    const known = members.heardOf(record.peer)
    if (record.job === id && record.round === known?.round && record.tokens === known.tokens && record.manifest.id === known.manifest.id) continue
    if (record.job !== id || !await verifyRecord(record)) throw new ProtocolError(`the host tells of a contribution that ${record.peer} did not sign`)
    members.offer(record)
  }
}

/** own + (after − before), in float64, rounded once. */
function moved (own: FloatTensor, before: FloatTensor, after: FloatTensor): FloatTensor {
  return { shape: own.shape, values: own.values.map((value, i) => value + (after.values[i] - before.values[i])) }
}

function mapTensors (adapter: AdapterTensors, change: (site: string, name: string, tensor: FloatTensor) => FloatTensor): AdapterTensors {
  return new Map([...adapter].map(([site, own]) => [site, new Map([...own].map(([name, tensor]) => [name, change(site, name, tensor)]))]))
}

function tensor (adapter: AdapterTensors, site: string, name: string): FloatTensor {
  return adapter.get(site)?.get(name) ?? { shape: [], values: new Float32Array() }
}
