import type { Engine } from '../../engine/engine.js'
import type { Weighted } from '../../merge/weighted.js'
import type { ModelInfo } from '../../model/base-model.js'
import type { PassResult } from '../../model/pass.js'
import type { AdapterTensors, AuxiliarySpec, Batch, WireDtype } from '../../types.js'
import type { EncodedParts } from './encoded-part.js'

/** What is merged into θ: the mean of the members' ΔW. */
export interface Merged {
  /** Names the state, so that it is not merged twice. */
  readonly state: string
  readonly spec: AuxiliarySpec
  readonly members: readonly Weighted[]
}

/** One trainer's rows, and what runs beside θ for them alone. */
export interface LentPart {
  readonly batch: Batch
  readonly beside: { readonly spec: AuxiliarySpec, readonly adapter: AdapterTensors } | null
  /** The wire form in which adaptation data are wanted. @default the tensors themselves */
  readonly wire?: WireDtype
}

/** What comes of a part: adaptation data either as tensors, or as they cross the wire. */
export interface LentResult extends PassResult {
  /** To be read once, each as soon as it is encoded. */
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

  dispose (): Promise<void>
}
