/**
 * The gossip of one job: hosts announce adaptation data, trainers their contributions. Messages are small, signed by
 * who writes them, and checked by every peer before it takes them or passes them on: size, schema, job, and the
 * contribution's own signature. Whether the host that wrote one is the host that was asked is for the listener to say,
 * by `from`.
 *
 * @example
 * ```ts
 * const topic = jobTopic({ job })(node.services.pubsub)
 * topic.start()
 * topic.addEventListener('adaptation', ({ detail: { step, manifest, from } }) => { … })
 * await topic.publish({ type: 'contribution', record }, { signal })
 * await topic.publish({ type: 'adaptation', … }, { to: trainerId, signal })   // waits until the trainer listens
 * ```
 */
import type { PeerId, TypedEventTarget } from '@libp2p/interface'
import { GossipedJobTopic, type JobTopicEvents, type JobTopicInit } from './job-topic.js'
import type { JobMessage } from './schema.js'
import type { PublishOptions, PubSub } from './topic.js'

export interface JobTopic extends TypedEventTarget<JobTopicEvents> {
  /** Peers that this node is connected to and that listen. */
  readonly listeners: PeerId[]
  start (): void
  stop (): void
  /**
   * Sends to those who listen, and returns them; nobody may. Messages of this peer do not come back to it.
   *
   * @throws {ProtocolError} if the message is too long to be gossiped
   * @throws {TimeoutError} if the message could not be sent to the peer that it is for
   */
  publish (message: JobMessage, options?: PublishOptions): Promise<PeerId[]>
}

export function jobTopic (init: JobTopicInit): (pubsub: PubSub) => JobTopic {
  return pubsub => new GossipedJobTopic(pubsub, init)
}

export type { JobMessage, JobTopicEvents, JobTopicInit, PublishOptions, PubSub }
export { MAX_ANNOUNCEMENT_BYTES } from './constants.js'
export type { Received } from './job-topic.js'
export type { AdaptationMessage, ContributionMessage } from './schema.js'
export { Topic, type TopicInit, type Verdict } from './topic.js'
