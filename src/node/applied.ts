import { isMergeable } from '../auxiliary-spec.js'
import type { Job } from '../job.js'
import { ContributionMap, isSameVersion } from '../merge/contribution-map.js'
import { meanOfParameters } from '../merge/mean-of-parameters.js'
import { besideOneAnother, type StackedAdapter } from '../merge/stack.js'
import type { Weighted } from '../merge/weighted.js'
import type { ContributionRecord } from '../protocols/contribution/index.js'
import type { Contributed, JobMembers, Member } from './job-members.js'

/** What is beside or in the base model during a pass, and the name of that state. */
export interface Applied {
  /** Null for the base model alone. */
  readonly version: string | null
  /** Merged: the mean of their ΔW becomes part of θ. */
  readonly merged?: readonly Weighted[]
  /** Unmerged: run beside θ. */
  readonly beside: readonly StackedAdapter[]
  /** What the trainer fits, as it was when it asked; undefined where nothing of it is known. */
  readonly own?: Contributed
  /** The records that the state holds; undefined where it is one trainer's alone. */
  readonly records?: readonly ContributionRecord[]
}

export const BASE_ALONE: Applied = { version: null, beside: [] }

/**
 * What of a job's contributions a trainer's rows meet, by the job's mode and what is merged when.
 *
 * @param asked the trainer's own for which its batch is made: where its steps run ahead a later one may be here already. Its
 *   latest if it is not given; in a joint job all rows meet one mean, and it does not matter
 */
export function appliedTo (peer: string, job: Job, members: JobMembers, purpose: 'train' | 'evaluate', asked?: Member): Applied {
  const { held } = members
  const latest = held.find(member => member.peer === peer)
  const own = asked === undefined || isSameVersion(asked, latest) ? latest : asked
  const merges = job.merge === 'during' || (job.merge === 'after' && purpose === 'evaluate')
  if (job.mode === 'alone') return own === undefined ? BASE_ALONE : { ...placed(own.id, [{ ...own, tokens: 1 }], merges), own: contributedBy(own) }
  if (held.length === 0) return BASE_ALONE
  const state = job.mode === 'joint' || own === undefined || own === latest ? stateOf(job, members, merges) : stateWith(own, held, merges)
  return job.mode === 'joint' || own === undefined ? state : { ...state, own: contributedBy(own) }
}

/** The latest states of jobs: all of a job's rows meet one and the same, so that it is stacked once for all of them. */
const states = new WeakMap<JobMembers, { readonly merges: boolean, readonly state: Applied }>()

/** What everyone's rows meet; in a joint job with what everyone fits. */
function stateOf ({ mode }: Job, members: JobMembers, merges: boolean): Applied {
  const version = members.stateId()
  const known = states.get(members)
  if (known?.state.version === version && known.merges === merges) return known.state
  const { held } = members
  const state = { ...mode === 'joint' ? jointly(version, held, merges) : placed(version, held, merges), records: recordsOf(held) }
  states.set(members, { merges, state })
  return state
}

/** What everyone's rows would meet with this one in place of the same peer's. */
function stateWith (own: Member, held: JobMembers['held'], merges: boolean): Applied {
  const state = new ContributionMap<Member>()
  for (const member of held) state.add(member.peer === own.peer ? own : member)
  return { ...placed(state.stateId(), [...state], merges), records: recordsOf(state) }
}

function recordsOf (state: Iterable<Member>): ContributionRecord[] {
  return [...state].map(({ record }) => record)
}

function jointly (version: string, held: JobMembers['held'], merges: boolean): Applied {
  const mean = { spec: held[0].spec, adapter: meanOfParameters(held) }
  return { ...placed(version, [{ tokens: 1, ...mean }], merges), own: mean }
}

/** The members' auxiliaries where they belong: merged where they are to be and can be, else beside. */
function placed (version: string, members: readonly Weighted[], merges: boolean): Applied {
  const merged = merges && members.some(({ spec }) => isMergeable(spec))
  return {
    version,
    beside: besideOneAnother(members, spec => !merged || !isMergeable(spec)),
    ...(merged && { merged: members.map(({ tokens, spec, adapter }) => ({ tokens, spec, adapter })) }) // no more crosses to the model's thread
  }
}

function contributedBy ({ spec, adapter }: Contributed): Contributed {
  return { spec, adapter }
}
