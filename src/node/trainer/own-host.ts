import type { PeerId } from '@libp2p/interface'
import type { WireDtype } from '../../types.js'
import { decodeAdaptation, encodeAdaptation } from '../../tensor/adaptation.js'
import type { Host } from '../host/host.js'
import type { JoinedJob } from '../jobs.js'
import type { Step, StepResult, StepRunner } from './step-runner.js'

/** Host and trainer are one process: the same work without the wire, but with its rounding. */
export class OwnHost implements StepRunner {
  readonly #host: Host
  readonly #peer: PeerId
  readonly #joined: JoinedJob
  readonly #wire: WireDtype

  constructor (host: Host, peer: PeerId, joined: JoinedJob, wire: WireDtype) {
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
    const { reply, data } = await this.#host.step(this.#peer, { ...step, job: this.#joined.id, wire: this.#wire }, null, signal)
    const { rows, length } = step.batch
    const sent = this.#wire === 'f32' || data.size === 0 ? data : decodeAdaptation(encodeAdaptation(data, this.#wire), this.#joined.sites, rows * length)
    return await use({ reply, data: sent })
  }

  /** There is no other host to go on at. */
  async recover (error: Error): Promise<never> {
    return await Promise.reject(error)
  }
}
