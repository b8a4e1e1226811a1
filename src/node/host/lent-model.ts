import type { Engine } from '../../engine/engine.js'
import type { StackedAdapter } from '../../merge/stack.js'
import type { Weighted } from '../../merge/weighted.js'
import type { ModelInfo } from '../../model/base-model.js'
import type { Dropout } from '../../tensor/dropout.js'
import type { PassResult } from '../../model/pass.js'
import type { AdaptationData, Batch, FloatTensor, WireForm } from '../../types.js'
import type { Contributed } from '../job-members.js'
import type { EncodedParts } from './encoded-part.js'

/** What is merged into θ: the mean of the members' ΔW. */
export interface Merged {
  /** Names the state, so that it is not merged twice. */
  readonly state: string
  readonly members: readonly Weighted[]
}

/** One step of a job of a trainer. */
export interface Feedback {
  /** Names the job and the trainer. */
  readonly key: string
  readonly step: number
}

/** One trainer's rows. */
export interface LentPart {
  readonly batch: Batch
  /** What runs beside θ for them alone, added up. */
  readonly beside: readonly StackedAdapter[]
  /** The form in which adaptation data are wanted. @default 'f32' */
  readonly wire?: WireForm
  /** Whether they are wanted encoded, or else as tensors. @default false */
  readonly encoded?: boolean
  /** What its auxiliaries are without in this step. @default nothing */
  readonly dropout?: Dropout
  /** Whose data of which step they are, where what is rounded off is added to the next step's. */
  readonly feedback?: Feedback
  /** What the trainer fits, where it says what data are wanted: its factors' gradients, or what its kind sees beside x. */
  readonly fitted?: Contributed
}

/** What comes of a part. */
export interface LentResult extends Omit<PassResult, 'pairs' | 'reduced' | 'summed' | 'given'> {
  /** Empty where they are wanted encoded. */
  readonly data: AdaptationData
  /** Empty where tensors are wanted. To be read once, each as soon as it is encoded. */
  readonly parts: EncodedParts
}

/** One pass, in values that can be sent to another thread. */
export interface LentPass {
  readonly parts: readonly LentPart[]
  /** Names of the sites at which x and ∇ĥ are wanted; none for a forward pass alone. */
  readonly sites: readonly string[]
  /** Null for θ as it is. */
  readonly merged: Merged | null
  /** @default false */
  readonly logits?: boolean
}

/** A base model that can be lent: where it runs is its own affair. One pass at a time. */
export interface LentModel {
  readonly info: ModelInfo
  readonly engine: Pick<Engine, 'name' | 'description'>

  /** What comes of each part. Throws what `BaseModel.pass` throws. */
  pass (pass: LentPass): Promise<LentResult[]>

  /** Norms of the rows of the weights of sites as θ has them, `[out]` each, by name. Between two passes. */
  startNorms (sites: readonly string[]): Promise<ReadonlyMap<string, FloatTensor>>

  dispose (): Promise<void>
}
