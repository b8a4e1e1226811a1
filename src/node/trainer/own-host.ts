import type { PeerId } from '@libp2p/interface'
import type { WireForm } from '../../types.js'
import { decodeAdaptation, encodeAdaptation } from '../../tensor/adaptation.js'
import type { Host } from '../host/host.js'
import type { JoinedJob } from '../jobs.js'
import type { Step, StepResult, StepRunner } from './step-runner.js'
import { layoutOf } from './wire-form.js'

/** Host and trainer are one process: the same work without the wire, but with its rounding. */
export class OwnHost implements StepRunner {
  readonly #host: Host
  readonly #peer: PeerId
  readonly #joined: JoinedJob
  readonly #wire: WireForm

  constructor (host: Host, peer: PeerId, joined: JoinedJob, wire: WireForm) {
    this.#host = host
    this.#peer = peer
    this.#joined = joined
    this.#wire = wire
  }

  /** @throws what `Host.open` throws */
  async open (): Promise<void> {
    await Promise.resolve(this.#host.open(this.#joined.job))
  }

  async run<T> (step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const { id, job: { auxiliary }, sites } = this.#joined
    const wire = this.#wire
    const { reply, data } = await this.#host.step(this.#peer, { ...step, job: id, wire }, 'tensors', signal)
    const sent = wire !== 'bf16' || data.size === 0 ? data : decodeAdaptation(encodeAdaptation(data, wire), layoutOf(wire, auxiliary, sites, step.batch))
    return await use({ reply, data: sent })
  }

  /** There is no other host to go on at. */
  async recover (error: Error): Promise<never> {
    return await Promise.reject(error)
  }
}
