import { type GossipSub, type Message, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import type { PeerId } from '@libp2p/interface'
import { pEvent } from 'p-event'
import type { z } from 'zod'
import { ProtocolError } from '../../errors.js'
import { Deadline } from '../deadline.js'
import type { BreachListener } from '../bans.js'
import { decodeMessage, encodeMessage, isMalformed } from '../message.js'
import type { ByteCounter } from '../traffic.js'
import { MAX_ANNOUNCEMENT_BYTES, SUBSCRIPTION_TIMEOUT, TOPIC_SCORE } from './constants.js'

/** What a topic needs of gossipsub. */
export type PubSub = Pick<GossipSub, 'publish' | 'subscribe' | 'unsubscribe' | 'getSubscribers' | 'addEventListener' | 'removeEventListener' | 'topicValidators'>

/**
 * Taken and passed on; dropped; or dropped, and held against the peer that passed it on, with what is wrong. That is only for what
 * no peer passes on which checks as this one does, however late it is and whatever its clock says.
 */
export type Verdict = 'accept' | 'ignore' | { readonly reject: string }

export interface TopicInit<T> {
  readonly name: string
  readonly schema: z.ZodType<T>
  /** Judges a message by what it says and by whom it is from, before it is taken or passed on. */
  readonly judge: (message: T, from: PeerId) => Verdict | Promise<Verdict>
  readonly onMessage: (message: T, from: PeerId) => void
  /** What a message's bytes are counted as. */
  readonly kind: (message: T) => string
  /** Id of the job that all messages are of. @default none */
  readonly job?: string
  readonly counter: ByteCounter | undefined
  /** Is told of peers that pass on what is to be rejected. */
  readonly breaches: BreachListener | undefined
}

export interface PublishOptions {
  /** Waits, at most ten seconds, until this peer listens, and fails if the message does not go to it. */
  readonly to?: PeerId
  readonly signal?: AbortSignal
}

/** The part of gossipsub that keeps score, which its types leave out. */
interface Scoring {
  readonly score?: { readonly params: { readonly topics: Record<string, unknown> } }
}

/** A gossipsub topic whose messages are checked before they are taken or passed on. */
export class Topic<T extends object> {
  readonly #pubsub: PubSub
  readonly #init: TopicInit<T>
  /** What the validator has let through. */
  readonly #checked = new WeakMap<Message, T>()

  constructor (pubsub: PubSub, init: TopicInit<T>) {
    this.#pubsub = pubsub
    this.#init = init
  }

  get listeners (): PeerId[] {
    return this.#pubsub.getSubscribers(this.#init.name)
  }

  start (): void {
    // gossipsub scores only topics that it was told of when it was made, and ours come with jobs
    const scored = (this.#pubsub as Scoring).score?.params.topics
    if (scored !== undefined) scored[this.#init.name] = TOPIC_SCORE
    this.#pubsub.topicValidators.set(this.#init.name, this.#validate)
    this.#pubsub.addEventListener('message', this.#onMessage)
    this.#pubsub.subscribe(this.#init.name)
  }

  stop (): void {
    this.#pubsub.unsubscribe(this.#init.name)
    this.#pubsub.removeEventListener('message', this.#onMessage)
    this.#pubsub.topicValidators.delete(this.#init.name)
  }

  async publish (message: T, { to, signal }: PublishOptions = {}): Promise<PeerId[]> {
    const { name } = this.#init
    const bytes = encodeMessage(message)
    if (bytes.byteLength > MAX_ANNOUNCEMENT_BYTES) {
      throw new ProtocolError(`a message of ${bytes.byteLength} bytes; at most ${MAX_ANNOUNCEMENT_BYTES} are gossiped`)
    }
    signal?.throwIfAborted()
    if (to === undefined) return await this.#send(message, bytes)

    const deadline = new Deadline(SUBSCRIPTION_TIMEOUT, `${to.toString()} to listen on ${name}`, signal)
    try {
      for (;;) {
        while (!this.#pubsub.getSubscribers(name).some(subscriber => subscriber.equals(to))) {
          await pEvent(this.#pubsub, 'subscription-change', { signal: deadline.signal })
        }
        const recipients = await this.#send(message, bytes)
        if (recipients.some(recipient => recipient.equals(to))) return recipients
        // it has told us that it listens, but gossipsub's own stream to it is not open yet
        await pEvent(this.#pubsub, 'gossipsub:heartbeat', { signal: deadline.signal })
      }
    } finally {
      deadline.clear()
    }
  }

  async #send (message: T, bytes: Uint8Array): Promise<PeerId[]> {
    const { name, kind, job, counter } = this.#init
    const { recipients } = await this.#pubsub.publish(name, bytes)
    for (const recipient of recipients) counter?.count({ kind: kind(message), job, direction: 'sent', bytes: bytes.byteLength, peer: recipient })
    return recipients
  }

  readonly #validate = async (relay: PeerId, message: Message): Promise<TopicValidatorResult> => {
    const verdict = await this.#verdictOf(message)
    if (verdict === 'accept') return TopicValidatorResult.Accept
    if (verdict === 'ignore') return TopicValidatorResult.Ignore
    this.#init.breaches?.breach(relay, `gossip: ${verdict.reject}`)
    return TopicValidatorResult.Reject
  }

  async #verdictOf (message: Message): Promise<Verdict> {
    const { byteLength } = message.data
    if (message.type !== 'signed') return { reject: 'a message that nobody signed' }
    if (byteLength > MAX_ANNOUNCEMENT_BYTES) return { reject: `a message of ${byteLength} bytes, where at most ${MAX_ANNOUNCEMENT_BYTES} are gossiped` }
    try {
      const decoded = decodeMessage(this.#init.schema, message.data)
      this.#checked.set(message, decoded)
      return await this.#init.judge(decoded, message.from)
    } catch (error) {
      return isMalformed(error as Error) ? { reject: 'a message that is malformed' } : 'ignore'
    }
  }

  readonly #onMessage = ({ detail: message }: CustomEvent<Message>): void => {
    const checked = this.#checked.get(message)
    if (checked === undefined || message.type !== 'signed') return // of another topic
    const { kind, job, counter, onMessage } = this.#init
    counter?.count({ kind: kind(checked), job, direction: 'received', bytes: message.data.byteLength, peer: message.from })
    onMessage(checked, message.from)
  }
}
