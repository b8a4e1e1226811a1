import type { PeerId, Startable } from '@libp2p/interface'
import type { z } from 'zod'
import { type Job, jobId } from '../../job.js'
import type { Deadline } from '../deadline.js'
import { type Answerer, answerer, type Frames } from '../frames.js'
import { decodeMessage, encodeMessage } from '../message.js'
import type { ConductListener } from '../bans.js'
import type { PeerLimits } from '../peer-limits.js'
import type { ByteCounter } from '../traffic.js'
import { MAX_INBOUND_STREAMS, MAX_REQUEST_BYTES, REQUEST_TIMEOUT, STEP_PROTOCOL } from './constants.js'
import { type Refusal, toRefusal } from './refusal.js'
import { decodeBatch, type OpenReply, requestSchema, type StepReply, type StepRequest } from './schema.js'

/**
 * What a host does with what trainers ask. The signal ends when the trainer goes away. What it throws refuses the
 * request: errors of ours reach the trainer by name and message, others as a bare RefusedError.
 */
export interface StepHandler {
  open (peer: PeerId, job: Job, signal: AbortSignal): Promise<OpenReply>
  step (peer: PeerId, request: StepRequest, signal: AbortSignal): Promise<StepReply>
}

export interface StepServerInit {
  readonly handler: StepHandler
  readonly counter?: ByteCounter
  readonly breaches?: ConductListener
  readonly limits?: PeerLimits
}

export class StepAnswerer implements Startable {
  readonly #answerer: Answerer
  readonly #handler: StepHandler
  readonly #counter: ByteCounter | undefined
  readonly #breaches: ConductListener | undefined
  readonly #limits: PeerLimits | undefined

  constructor (answerer: Answerer, { handler, counter, breaches, limits }: StepServerInit) {
    this.#answerer = answerer
    this.#handler = handler
    this.#counter = counter
    this.#breaches = breaches
    this.#limits = limits
  }

  async start (): Promise<void> {
    const init = { maxBytes: MAX_REQUEST_BYTES, timeout: REQUEST_TIMEOUT, kind: 'step', counter: this.#counter, breaches: this.#breaches, maxStreams: MAX_INBOUND_STREAMS, limits: this.#limits }
    await this.#answerer.handle(STEP_PROTOCOL, answerer(init, this.#onStream), { maxInboundStreams: MAX_INBOUND_STREAMS })
  }

  async stop (): Promise<void> {
    await this.#answerer.unhandle(STEP_PROTOCOL)
  }

  readonly #onStream = async (frames: Frames, peer: PeerId, deadline: Deadline): Promise<void> => {
    const asked = await frames.readMessage(decodeRequest)
    deadline.pause() // how long a step may take is for the trainer to say
    const answer = 'error' in asked ? asked : await this.#answer(asked.request, peer, deadline.signal)
    deadline.signal.throwIfAborted()
    deadline.touch()
    await frames.write(encodeMessage(answer), { job: asked.job })
  }

  async #answer (request: Request, peer: PeerId, signal: AbortSignal): Promise<object> {
    try {
      if (request.type === 'open') return { opened: await this.#handler.open(peer, request.job, signal) }
      const { batch, ...step } = request.step
      return { reply: await this.#handler.step(peer, { ...step, batch: decodeBatch(batch) }, signal) }
    } catch (error) {
      return { error: toRefusal(error) }
    }
  }
}

type Request = z.infer<typeof requestSchema>

/** What is asked for, and of which job it is; or why that is refused. */
type Asked = { readonly job: string, readonly request: Request } | { readonly job?: undefined, readonly error: Refusal }

function decodeRequest (bytes: Uint8Array): Asked {
  try {
    const request = decodeMessage(requestSchema, bytes)
    return { job: request.type === 'open' ? jobId(request.job) : request.step.job, request }
  } catch (error) {
    return { error: toRefusal(error) }
  }
}
