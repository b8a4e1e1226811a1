import { meanOfParameters } from '../merge/mean-of-parameters.js'
import type { Weighted } from '../merge/weighted.js'
import type { Job } from '../job.js'
import type { AdapterTensors } from '../types.js'
import type { JobMembers } from './job-members.js'

/** What is beside or in the base model during a pass, and the name of that state. */
export interface Applied {
  /** Null for the base model alone. */
  readonly version: string | null
  /** Merged: the mean of their ΔW becomes part of θ. */
  readonly merged?: readonly Weighted[]
  /** Unmerged: runs beside θ. */
  readonly beside?: AdapterTensors
  /** What the trainer fits, as it was when it asked; undefined where nothing of it is known. */
  readonly own?: AdapterTensors
}

export const BASE_ALONE: Applied = { version: null }

/** What of a job's contributions a trainer's rows meet, by the job's mode. */
export function appliedTo (peer: string, { mode }: Job, members: JobMembers): Applied {
  const { held } = members
  const own = held.find(member => member.peer === peer)
  if (mode === 'alone') return own === undefined ? BASE_ALONE : { version: own.id, beside: own.adapter, own: own.adapter }
  if (held.length === 0) return BASE_ALONE
  const version = members.stateId()
  return mode === 'joint'
    ? meanAt(version, members)
    : { version, merged: held.map(({ tokens, adapter }) => ({ tokens, adapter })), ...(own && { own: own.adapter }) }
}

/** The latest means of jobs: all of a job's rows meet one and the same. */
const means = new WeakMap<JobMembers, Applied>()

function meanAt (version: string, members: JobMembers): Applied {
  const known = means.get(members)
  if (known?.version === version) return known
  const mean = meanOfParameters(members.held)
  const made = { version, beside: mean, own: mean }
  means.set(members, made)
  return made
}
