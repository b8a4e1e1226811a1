import type { Job } from '../job.js'
import { meanOfParameters } from '../merge/mean-of-parameters.js'
import { meanOfProducts } from '../merge/mean-of-products.js'
import type { AdapterTensors, DeltaWeights, Site } from '../types.js'
import type { JobMembers } from './job-members.js'

/** What is beside or in the base model during a pass, and the name of that state. */
export interface Applied {
  /** Null for the base model alone. */
  readonly version: string | null
  /** Merged: α·ΔW, which becomes part of θ. */
  readonly delta?: DeltaWeights
  /** Unmerged: runs beside θ. */
  readonly adapter?: AdapterTensors
}

export const BASE_ALONE: Applied = { version: null }

/** What of a job's contributions a trainer's rows meet, by the job's mode. */
export function appliedTo (peer: string, { mode, auxiliary }: Job, sites: readonly Site[], members: JobMembers): Applied {
  const { held } = members
  if (mode === 'alone') {
    const own = held.find(member => member.peer === peer)
    return own === undefined ? BASE_ALONE : { version: own.id, adapter: own.adapter }
  }
  if (held.length === 0) return BASE_ALONE
  const version = members.stateId()
  return mode === 'joint'
    ? { version, adapter: meanOfParameters(held) }
    : { version, delta: meanOfProducts(held, auxiliary, sites) }
}
