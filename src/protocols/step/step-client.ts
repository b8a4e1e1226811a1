import type { PeerId } from '@libp2p/interface'
import type { z } from 'zod'
import { InvalidBatchError } from '../../errors.js'
import { type Job, jobId } from '../../job.js'
import { converse, type Dialer } from '../frames.js'
import { decodeMessage, encodeMessage } from '../message.js'
import type { ByteCounter } from '../traffic.js'
import { MAX_ANSWER_BYTES, MAX_BATCH_BYTES, OPEN_TIMEOUT, STEP_PROTOCOL, STEP_TIMEOUT } from './constants.js'
import { fromRefusal } from './refusal.js'
import { encodeBatch, openAnswerSchema, type OpenReply, type requestSchema, stepAnswerSchema, type StepReply, type StepRequest } from './schema.js'

export interface StepClientInit {
  readonly counter?: ByteCounter
  /** The longest that a host may take for a step, in milliseconds. @default 3_600_000 */
  readonly timeout?: number
}

export interface StepOptions {
  readonly signal: AbortSignal
}

export class StepAsker {
  readonly #dialer: Dialer
  readonly #counter: ByteCounter | undefined
  readonly #timeout: number

  constructor (dialer: Dialer, { counter, timeout = STEP_TIMEOUT }: StepClientInit) {
    this.#dialer = dialer
    this.#counter = counter
    this.#timeout = timeout
  }

  async open (peer: PeerId, job: Job, { signal }: StepOptions): Promise<OpenReply> {
    const answer = await this.#ask(peer, jobId(job), { type: 'open', job }, openAnswerSchema, OPEN_TIMEOUT, signal)
    if ('error' in answer) throw fromRefusal(answer.error)
    return answer.opened
  }

  async step (peer: PeerId, request: StepRequest, { signal }: StepOptions): Promise<StepReply> {
    const step = { ...request, batch: encodeBatch(request.batch) }
    const { byteLength } = step.batch
    if (byteLength > MAX_BATCH_BYTES) {
      const rows = Math.floor(request.batch.rows * MAX_BATCH_BYTES / byteLength)
      throw new InvalidBatchError(`a batch of ${request.batch.rows} rows takes ${byteLength} bytes, a host accepts ${MAX_BATCH_BYTES}; use ${rows < 1 ? 'shorter rows' : `at most ${rows} rows`}`)
    }
    const answer = await this.#ask(peer, request.job, { type: 'step', step }, stepAnswerSchema, this.#timeout, signal)
    if ('error' in answer) throw fromRefusal(answer.error)
    return answer.reply
  }

  async #ask<T> (
    peer: PeerId, job: string, request: z.infer<typeof requestSchema>, schema: z.ZodType<T>, timeout: number, signal: AbortSignal
  ): Promise<T> {
    const init = { maxBytes: MAX_ANSWER_BYTES, timeout, kind: 'step', job, counter: this.#counter, signal }
    return await converse(this.#dialer, peer, STEP_PROTOCOL, init, async frames => {
      await frames.write(encodeMessage(request))
      return decodeMessage(schema, await frames.read())
    })
  }
}
