import type { BackendName } from '../../../engine/backend.js'
import type { GradientNorms } from '../../../gl/gradient-learner.js'
import type { Fit } from '../../../gl/learner.js'
import type { LearnerPlan } from '../../../gl/learner-plan.js'
import type { AdapterTensors, NamedTensors, SiteData } from '../../../types.js'
import type { ThreadError } from '../../thread.js'

/** What a thread of fits is started with. */
export interface FitThreadData {
  /** Of the sites that are its own. */
  readonly plan: LearnerPlan
  readonly backend: BackendName
}

/** What a thread can be asked for: see `Learner`, for the sites that are its own. */
export interface FitCalls {
  /** Answered when there is a learner. @returns names of the parameters of each site */
  ready: () => Promise<ReadonlyMap<string, readonly string[]>>
  gather: (site: string, data: SiteData) => void
  endBatch: (weight: number) => void
  dropBatch: () => void
  /** Begins a fit: what it is made from is not gathered any more. */
  norms: () => Promise<GradientNorms>
  /** Ends it. @param norms of the gradients of all threads */
  fit: (norms: GradientNorms) => Promise<Fit | undefined>
  adapter: () => Promise<AdapterTensors>
  contributed: () => Promise<AdapterTensors>
  /** Whether `assign` will take tensors of these names and shapes. */
  check: (adapter: AdapterTensors) => void
  assign: (adapter: AdapterTensors) => void
  state: () => Promise<NamedTensors>
  restore: (state: NamedTensors) => void
}

export type ToFitThread =
  | { readonly type: 'call', readonly number: number, readonly call: keyof FitCalls, readonly args: readonly unknown[] }
  | { readonly type: 'close' }

/** How far a thread's learner has come. */
export interface FitProgress {
  readonly fits: number
  /** Batches of the interval so far. */
  readonly gathered: number
}

/** The answer to the call of that number. */
export type FromFitThread =
  | { readonly type: 'done', readonly number: number, readonly value: unknown, readonly progress: FitProgress }
  | { readonly type: 'failed', readonly number: number, readonly error: ThreadError }
