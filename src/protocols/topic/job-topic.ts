import { type PeerId, TypedEventEmitter } from '@libp2p/interface'
import type { BreachListener } from '../bans.js'
import { type ContributionRecord, verifyRecord } from '../contribution/index.js'
import type { ByteCounter } from '../traffic.js'
import { type AdaptationMessage, type ContributionMessage, type JobMessage, jobMessageSchema } from './schema.js'
import { type PublishOptions, type PubSub, Topic, type Verdict } from './topic.js'

/** A message that was checked, and who wrote it: its signature proves that, whoever passed it on. */
export type Received<T> = T & { readonly from: PeerId }

export interface JobTopicEvents {
  adaptation: CustomEvent<Received<AdaptationMessage>>
  contribution: CustomEvent<Received<ContributionMessage>>
}

export interface JobTopicInit {
  /** Id of the job. */
  readonly job: string
  readonly counter?: ByteCounter
  readonly breaches?: BreachListener
  /** Whether a record whose signature is right may be of use to anyone; else it is not passed on. @default always */
  readonly isUseful?: (record: ContributionRecord) => boolean
}

export class GossipedJobTopic extends TypedEventEmitter<JobTopicEvents> {
  readonly #job: string
  readonly #isUseful: (record: ContributionRecord) => boolean
  readonly #topic: Topic<JobMessage>

  constructor (pubsub: PubSub, { job, counter, breaches, isUseful = () => true }: JobTopicInit) {
    super()
    this.#job = job
    this.#isUseful = isUseful
    this.#topic = new Topic(pubsub, {
      name: `colanet/1/job/${job}`,
      schema: jobMessageSchema,
      judge: this.#judge,
      onMessage: (message, from) => this.safeDispatchEvent(message.type, { detail: { ...message, from } }),
      kind: ({ type }) => type,
      job,
      counter,
      breaches
    })
  }

  get listeners (): PeerId[] {
    return this.#topic.listeners
  }

  start (): void {
    this.#topic.start()
  }

  stop (): void {
    this.#topic.stop()
  }

  async publish (message: JobMessage, options?: PublishOptions): Promise<PeerId[]> {
    return await this.#topic.publish(message, options)
  }

  /** Adaptation data are from whoever signs; contributions may be passed on by any member, and carry their own signature. */
  readonly #judge = async (message: JobMessage): Promise<Verdict> => {
    const { job } = message.type === 'adaptation' ? message : message.record
    if (job !== this.#job) return { reject: `${message.type} data of another job than the topic's` }
    if (message.type === 'adaptation') return 'accept'
    if (!await verifyRecord(message.record)) return { reject: 'a contribution that its author did not sign' }
    return this.#isUseful(message.record) ? 'accept' : 'ignore' // who has not heard of a later one passes it on in good faith
  }
}
