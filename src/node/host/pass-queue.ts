import { setImmediate as turn } from 'node:timers/promises'
import type { PassResult } from '../../model/pass.js'
import { unlessAborted } from '../../protocols/deadline.js'
import type { AuxiliarySpec, Batch } from '../../types.js'
import type { Applied } from '../applied.js'
import type { LentModel } from './lent-model.js'

export interface PassRequest {
  /** Id of the job. */
  readonly job: string
  readonly batch: Batch
  /** Names of the sites at which x and ∇ĥ are wanted; none for a forward pass alone. */
  readonly sites: readonly string[]
  readonly auxiliary: AuxiliarySpec
  /** Called when the pass begins, so that what is applied is as new as can be. */
  readonly applied: () => Applied
}

export interface Pass extends PassResult {
  readonly version: string | null
  /** In milliseconds. */
  readonly timings: { readonly queued: number, readonly pass: number }
}

/** The base model for many jobs: one pass at a time, each with what is applied to it, in the order in which they came. */
export class PassQueue {
  readonly #model: LentModel
  #last: Promise<unknown> = Promise.resolve()

  constructor (model: LentModel) {
    this.#model = model
  }

  /** Throws what `LentModel.pass` throws, and the signal's reason if it ends first. */
  async pass (request: PassRequest, signal: AbortSignal): Promise<Pass> {
    const came = performance.now()
    const result = this.#last.then(async () => {
      await turn() // what has arrived meanwhile is heard first
      signal.throwIfAborted()
      return await this.#run(request, came)
    })
    this.#last = result.catch(() => {})
    return await unlessAborted(result, signal)
  }

  async #run ({ job, batch, sites, auxiliary, applied }: PassRequest, came: number): Promise<Pass> {
    const began = performance.now()
    const { version, merged, beside } = applied()
    const result = await this.#model.pass({
      batch,
      sites,
      auxiliary,
      merged: merged === undefined ? null : { state: `${job}/${version ?? ''}`, members: merged },
      beside: beside ?? null
    })
    return { ...result, version, timings: { queued: began - came, pass: performance.now() - began } }
  }
}
