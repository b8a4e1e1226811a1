import { isMergeable } from '../auxiliary-spec.js'
import type { Job } from '../job.js'
import { meanOfParameters } from '../merge/mean-of-parameters.js'
import { besideOneAnother, type StackedAdapter } from '../merge/stack.js'
import type { Weighted } from '../merge/weighted.js'
import type { Contributed, JobMembers } from './job-members.js'

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
}

export const BASE_ALONE: Applied = { version: null, beside: [] }

/** What of a job's contributions a trainer's rows meet, by the job's mode and what is merged when. */
export function appliedTo (peer: string, job: Job, members: JobMembers, purpose: 'train' | 'evaluate'): Applied {
  const { held } = members
  const own = held.find(member => member.peer === peer)
  const merges = job.merge === 'during' || (job.merge === 'after' && purpose === 'evaluate')
  if (job.mode === 'alone') return own === undefined ? BASE_ALONE : placed(own.id, [{ ...own, tokens: 1 }], merges, own)
  if (held.length === 0) return BASE_ALONE
  const version = members.stateId()
  if (job.mode === 'collaboration') return placed(version, held, merges, own)
  const mean = meanAt(version, members)
  return placed(version, [mean], merges, mean)
}

/** The members' auxiliaries where they belong: merged where they are to be and can be, else beside. */
function placed (version: string, members: readonly Weighted[], merges: boolean, own: Contributed | undefined): Applied {
  const merged = merges && members.some(({ spec }) => isMergeable(spec))
  return {
    version,
    beside: besideOneAnother(members, spec => !merged || !isMergeable(spec)),
    ...(merged && { merged: members.map(({ tokens, spec, adapter }) => ({ tokens, spec, adapter })) }), // no more crosses to the model's thread
    ...(own && { own: { spec: own.spec, adapter: own.adapter } })
  }
}

/** The latest means of jobs: all of a job's rows meet one and the same. */
const means = new WeakMap<JobMembers, { readonly version: string, readonly mean: Weighted }>()

function meanAt (version: string, members: JobMembers): Weighted {
  const known = means.get(members)
  if (known?.version === version) return known.mean
  const { held } = members
  const mean = { tokens: 1, spec: held[0].spec, adapter: meanOfParameters(held) }
  means.set(members, { version, mean })
  return mean
}
