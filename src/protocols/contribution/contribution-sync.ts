import type { PeerId, Startable } from '@libp2p/interface'
import { type Answerer, answerer, converse, type Dialer, type Frames } from '../frames.js'
import { decodeMessage, encodeMessage } from '../message.js'
import type { ConductListener } from '../bans.js'
import type { PeerLimits } from '../peer-limits.js'
import type { ByteCounter } from '../traffic.js'
import { CONTRIBUTION_PROTOCOL, MAX_ANSWER_BYTES, MAX_INBOUND_STREAMS, MAX_RECORDS, MAX_REQUEST_BYTES, TIMEOUT } from './constants.js'
import { type ContributionRecord, verifyRecord } from './record.js'
import { answerSchema, requestSchema } from './schema.js'

export type ContributionComponents = Answerer & Dialer

/** Where records are kept. */
export interface RecordStore {
  /** What is held of a job. */
  records (job: string): Iterable<ContributionRecord>
  /** Takes a record whose signature is right, if it is news. */
  offer (record: ContributionRecord): void
}

export interface ContributionInit {
  readonly store: RecordStore
  readonly counter?: ByteCounter
  readonly breaches?: ConductListener
  readonly limits?: PeerLimits
}

export class ContributionSync implements Startable {
  readonly #components: ContributionComponents
  readonly #store: RecordStore
  readonly #limits: PeerLimits | undefined
  readonly #exchange: { readonly timeout: number, readonly kind: string, readonly counter: ByteCounter | undefined, readonly breaches: ConductListener | undefined }

  constructor (components: ContributionComponents, { store, counter, breaches, limits }: ContributionInit) {
    this.#components = components
    this.#store = store
    this.#limits = limits
    this.#exchange = { timeout: TIMEOUT, kind: 'contribution', counter, breaches }
  }

  async start (): Promise<void> {
    const handler = answerer({ ...this.#exchange, maxBytes: MAX_REQUEST_BYTES, maxStreams: MAX_INBOUND_STREAMS, limits: this.#limits }, this.#onStream)
    await this.#components.handle(CONTRIBUTION_PROTOCOL, handler, { maxInboundStreams: MAX_INBOUND_STREAMS })
  }

  async stop (): Promise<void> {
    await this.#components.unhandle(CONTRIBUTION_PROTOCOL)
  }

  async sync (peer: PeerId, job: string, { signal }: { readonly signal: AbortSignal }): Promise<number> {
    const init = { ...this.#exchange, job, maxBytes: MAX_ANSWER_BYTES, signal }
    const { records } = await converse(this.#components, peer, CONTRIBUTION_PROTOCOL, init, async frames => {
      await frames.write(encodeMessage({ job }))
      return decodeMessage(answerSchema, await frames.read())
    })
    const right = await Promise.all(records.map(async record => record.job === job && await verifyRecord(record)))
    if (right.includes(false)) this.#exchange.breaches?.breach(peer, 'a contribution that its author did not sign, or of another job')
    const verified = records.filter((_, i) => right[i])
    for (const record of verified) this.#store.offer(record)
    return verified.length
  }

  readonly #onStream = async (frames: Frames): Promise<void> => {
    const { job } = await frames.readMessage(bytes => decodeMessage(requestSchema, bytes))
    const records: ContributionRecord[] = []
    let bytes = 0
    for (const record of this.#store.records(job)) {
      bytes += encodeMessage(record).byteLength
      if (records.length === MAX_RECORDS || bytes > MAX_ANSWER_BYTES - MAX_REQUEST_BYTES) break
      records.push(record)
    }
    await frames.write(encodeMessage({ records }), { job })
  }
}
