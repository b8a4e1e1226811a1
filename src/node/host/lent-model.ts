import type { Engine } from '../../engine/engine.js'
import type { Weighted } from '../../merge/weighted.js'
import type { ModelInfo } from '../../model/base-model.js'
import type { PassResult } from '../../model/pass.js'
import type { AdapterTensors, AuxiliarySpec, Batch } from '../../types.js'

/** What is merged into θ: the mean of the members' ΔW. */
export interface Merged {
  /** Names the state, so that it is not merged twice. */
  readonly state: string
  readonly members: readonly Weighted[]
}

/** One pass, in values that can be sent to another thread. */
export interface LentPass {
  readonly batch: Batch
  /** Names of the sites at which x and ∇ĥ are wanted; none for a forward pass alone. */
  readonly sites: readonly string[]
  /** Of all auxiliaries that are named here. */
  readonly auxiliary: AuxiliarySpec
  /** Null for θ as it is. */
  readonly merged: Merged | null
  /** Runs beside θ. */
  readonly beside: AdapterTensors | null
  /** @default false */
  readonly logits?: boolean
}

/** A base model that can be lent: where it runs is its own affair. One pass at a time. */
export interface LentModel {
  readonly info: ModelInfo
  readonly engine: Pick<Engine, 'name' | 'description'>

  /** Throws what `BaseModel.pass` throws. */
  pass (pass: LentPass): Promise<PassResult>

  dispose (): Promise<void>
}
