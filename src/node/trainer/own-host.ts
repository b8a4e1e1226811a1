import type { PeerId } from '@libp2p/interface'
import { decodeAdaptation, encodeAdaptation, isHalved } from '../../tensor/adaptation.js'
import { Remainders } from '../../tensor/remainders.js'
import type { WeightNorms } from '../../tensor/weight-norms.js'
import type { Host } from '../host/host.js'
import type { JoinedJob } from '../jobs.js'
import type { Step, StepResult, StepRunner } from './step-runner.js'
import { layoutOf, type Wanted } from './wire-form.js'

/** Host and trainer are one process: the same work without the wire, but with its rounding. */
export class OwnHost implements StepRunner {
  readonly #host: Host
  readonly #peer: PeerId
  readonly #joined: JoinedJob
  readonly #wanted: Wanted

  /** Of what is rounded. */
  readonly #remainders = new Remainders()

  constructor (host: Host, peer: PeerId, joined: JoinedJob, wanted: Wanted) {
    this.#host = host
    this.#peer = peer
    this.#joined = joined
    this.#wanted = wanted
  }

  /** @throws what `Host.open` throws */
  async open (): Promise<WeightNorms> {
    this.#host.open(this.#joined.job)
    return await this.#host.startNorms(this.#joined.job)
  }

  async run<T> (step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const { wire, sites } = this.#wanted
    const { reply, data } = await this.#host.step(this.#peer, { ...step, job: this.#joined.id, wire, sites: sites.map(({ name }) => name) }, 'tensors', signal)
    const isRounded = isHalved(wire) || wire === 'int8'
    const sent = !isRounded || data.size === 0 ? data : decodeAdaptation(encodeAdaptation(data, wire, undefined, this.#remainders.at('', step.step)), layoutOf(this.#wanted, sites, step.batch))
    return await use({ reply, data: sent })
  }

  /** There is no other host to go on at. */
  async recover (error: Error): Promise<never> {
    return await Promise.reject(error)
  }
}
