import type { ModelInfo } from '../../model/base-model.js'
import type { FloatTensor } from '../../types.js'
import type { ThreadError } from '../thread.js'
import type { EncodedPart } from './encoded-part.js'
import type { LentModel, LentPass, LentResult } from './lent-model.js'
import type { ModelOptions } from './local-model.js'

/** What a model's thread is started with. */
export interface ThreadData {
  readonly folder: string
  readonly options: ModelOptions
}

export type ToThread =
  | PassMessage
  /** Memory of a part that nobody needs any more. */
  | { readonly type: 'free', readonly memory: SharedArrayBuffer }
  | { readonly type: 'norms', readonly sites: readonly string[] }
  | { readonly type: 'close' }

/** A pass under a number of its own, its members left out where their state is merged there already. */
export interface PassMessage {
  readonly type: 'pass'
  readonly number: number
  readonly pass: LentPass
}

/** What follows on `done`: the next part of one of the pass's results, or null when it was the last. */
export interface PartMessage {
  readonly type: 'part'
  /** Of the pass. */
  readonly number: number
  /** Its place among the results. */
  readonly result: number
  readonly part: EncodedPart | null
}

export type FromThread =
  | { readonly type: 'log', readonly line: string }
  | { readonly type: 'ready', readonly info: ModelInfo, readonly engine: LentModel['engine'] }
  | { readonly type: 'done', readonly results: ReadonlyArray<Omit<LentResult, 'parts'>> }
  | { readonly type: 'norms', readonly norms: ReadonlyMap<string, FloatTensor> }
  | PartMessage
  /** Those parts of a pass that are not there yet cannot be had. */
  | { readonly type: 'broken', readonly number: number, readonly error: ThreadError }
  | { readonly type: 'failed', readonly error: ThreadError }
