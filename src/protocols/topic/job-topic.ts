import { type PeerId, TypedEventEmitter } from '@libp2p/interface'
import { verifyRecord } from '../contribution/index.js'
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
}

export class GossipedJobTopic extends TypedEventEmitter<JobTopicEvents> {
  readonly #job: string
  readonly #topic: Topic<JobMessage>

  constructor (pubsub: PubSub, { job, counter }: JobTopicInit) {
    super()
    this.#job = job
    this.#topic = new Topic(pubsub, {
      name: `colanet/1/job/${job}`,
      schema: jobMessageSchema,
      judge: this.#judge,
      onMessage: (message, from) => this.safeDispatchEvent(message.type, { detail: { ...message, from } }),
      kind: ({ type }) => type,
      counter
    })
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
    if (message.type === 'adaptation') return message.job === this.#job ? 'accept' : 'reject'
    return message.record.job === this.#job && await verifyRecord(message.record) ? 'accept' : 'reject'
  }
}
