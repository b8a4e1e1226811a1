import { setImmediate as turn } from 'node:timers/promises'
import type * as tf from '@tensorflow/tfjs'
import { Auxiliary } from '../../gl/auxiliary.js'
import type { BaseModel } from '../../model/base-model.js'
import type { PassResult } from '../../model/pass.js'
import { unlessAborted } from '../../protocols/deadline.js'
import type { AuxiliarySpec, Batch, Site } from '../../types.js'
import type { Applied } from '../applied.js'

export interface PassRequest {
  /** Id of the job. */
  readonly job: string
  readonly batch: Batch
  /** Where x and ∇ĥ are wanted; none for a forward pass alone. */
  readonly sites: readonly Site[]
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
export class AdaptedModel {
  readonly #model: BaseModel
  #last: Promise<unknown> = Promise.resolve()
  /** Job and version of what is merged into θ now. */
  #merged: string | null = null

  constructor (model: BaseModel) {
    this.#model = model
  }

  /** @throws what `BaseModel.pass` throws, and the signal's reason if it ends first */
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
    const { version, delta, adapter } = applied()
    this.#merge(delta === undefined ? null : `${job}/${version ?? ''}`, delta)
    const beside = new Map<string, Auxiliary>()
    try {
      for (const [name, tensors] of adapter ?? []) {
        const site = this.#model.sites.find(site => site.name === name)
        if (site !== undefined) beside.set(name, new Auxiliary(auxiliary, site, { tensors }))
      }
      const adapt = (site: Site, x: tf.Tensor2D): tf.Tensor2D | undefined => beside.get(site.name)?.apply(x) // [tokens, out]
      const result = await this.#model.pass(batch, { sites, adapt })
      const pass = performance.now() - began
      return { ...result, version, timings: { queued: began - came, pass } }
    } finally {
      for (const own of beside.values()) own.dispose()
    }
  }

  #merge (state: string | null, delta: Applied['delta']): void {
    if (state === this.#merged) return
    this.#model.merge(delta ?? new Map())
    this.#merged = state
  }
}
