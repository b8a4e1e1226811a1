/** Gossip carries announcements, and every peer gets several copies; what is larger is pulled as a blob. In bytes. */
export const MAX_ANNOUNCEMENT_BYTES = 64 * 1024

/** How long a named recipient may take to subscribe before publishing fails, in milliseconds. */
export const SUBSCRIPTION_TIMEOUT = 10_000

/**
 * What gossipsub makes of a peer's conduct on one of our topics. Rejected messages count against it: three within a
 * minute, and it is not listened to until they are forgotten. Silence does not: a topic may have nothing to say.
 */
export const TOPIC_SCORE = {
  topicWeight: 1,
  timeInMeshWeight: 0,
  timeInMeshQuantum: 1_000,
  timeInMeshCap: 1,
  firstMessageDeliveriesWeight: 0.1,
  firstMessageDeliveriesDecay: 0.9,
  firstMessageDeliveriesCap: 50,
  meshMessageDeliveriesWeight: 0,
  meshMessageDeliveriesDecay: 0.5,
  meshMessageDeliveriesCap: 1,
  meshMessageDeliveriesThreshold: 1,
  meshMessageDeliveriesWindow: 10,
  meshMessageDeliveriesActivation: 5_000,
  meshFailurePenaltyWeight: 0,
  meshFailurePenaltyDecay: 0.5,
  invalidMessageDeliveriesWeight: -10,
  invalidMessageDeliveriesDecay: 0.98
}
