/**
 * A trainer has a host run a batch. It opens a job once at each host, then sends steps: a batch, and the contribution
 * for which the batch is made. The host answers with the loss; the adaptation data it announces on the job's topic, for
 * the trainer to pull as blobs.
 *
 * @example
 * ```ts
 * const server = stepServer({ handler: { open: async (peer, job) => …, step: async (peer, request, signal) => … } })(hostNode)
 * await server.start()
 *
 * const client = stepClient()(trainerNode)
 * const { model, sites } = await client.open(hostId, job, { signal })
 * const { loss, tokens } = await client.step(hostId, request, { signal })
 * ```
 */
import type { PeerId, Startable } from '@libp2p/interface'
import type { Job } from '../../job.js'
import type { Answerer, Dialer } from '../frames.js'
import type { OpenReply, StepReply, StepRequest } from './schema.js'
import { StepAsker, type StepClientInit, type StepOptions } from './step-client.js'
import { StepAnswerer, type StepHandler, type StepServerInit } from './step-server.js'

/** The trainer's side. Both throw what the host named, if it is an error of ours, and RefusedError for all else that it says. */
export interface StepClient {
  /**
   * Makes a job known to a host.
   *
   * @throws {ProtocolError} if the host answers something else
   */
  open (peer: PeerId, job: Job, options: StepOptions): Promise<OpenReply>

  /**
   * Has a batch run.
   *
   * @throws {ProtocolError} if the host answers something else, or a number that is not finite
   * @throws {TimeoutError} if it does not answer in time
   */
  step (peer: PeerId, request: StepRequest, options: StepOptions): Promise<StepReply>
}

export function stepClient (init: StepClientInit = {}): (components: Dialer) => StepClient {
  return components => new StepAsker(components, init)
}

export function stepServer (init: StepServerInit): (components: Answerer) => Startable {
  return components => new StepAnswerer(components, init)
}

export type { OpenReply, StepClientInit, StepHandler, StepOptions, StepReply, StepRequest, StepServerInit }
export { MAX_AHEAD, STEP_PROTOCOL } from './constants.js'
