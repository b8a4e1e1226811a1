import type { EngineOptions } from '../../engine/open-engine.js'
import type { ModelInfo } from '../../model/base-model.js'
import type { LentModel, LentPass, LentResult } from './lent-model.js'

/** What a model's thread is started with. */
export interface ThreadData {
  readonly folder: string
  readonly options: EngineOptions
}

export interface ThreadError {
  readonly name: string
  readonly message: string
}

/** A pass, whose members are left out where their state is merged there already; or that it is over. */
export type ToThread = LentPass | 'close'

export type FromThread =
  | { readonly type: 'log', readonly line: string }
  | { readonly type: 'ready', readonly info: ModelInfo, readonly engine: LentModel['engine'] }
  | { readonly type: 'done', readonly results: LentResult[] }
  | { readonly type: 'failed', readonly error: ThreadError }
