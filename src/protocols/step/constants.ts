export const STEP_PROTOCOL = '/colanet/step/1.0.0'

/** Two million tokens, or 50 images of 3 × 224 × 224, in bytes. */
export const MAX_BATCH_BYTES = 32 * 1024 * 1024

/** Room for a batch, and what is around it, in bytes. */
export const MAX_REQUEST_BYTES = MAX_BATCH_BYTES + 64 * 1024

/** Room for the records of a job's members, or for the norms of eight million rows of weights, in bytes. */
export const MAX_ANSWER_BYTES = 32 * 1024 * 1024

/** How long a trainer may take to send a batch, in milliseconds. */
export const REQUEST_TIMEOUT = 60_000

/**
 * The longest that a host may take for a step, in milliseconds: queue, pass and transfer on a slow machine. Whether it is still
 * there its signs of life tell, so only one that lies keeps a trainer waiting for so long.
 */
export const STEP_TIMEOUT = 3_600_000

/** The longest that a host may take to open a job, in milliseconds: it may be busy with a step. */
export const OPEN_TIMEOUT = 60_000

/** Requests of one trainer at the same time: they bound what it can have a host keep in memory. */
export const MAX_INBOUND_STREAMS = 8

/**
 * Steps that a trainer may have sent beyond the one that it is at. A host keeps the adaptation data of so many and one
 * more for each of a trainer's jobs, and they leave room for tries again among `MAX_INBOUND_STREAMS`.
 */
export const MAX_AHEAD = 4

/** The longest text of a refusal, in characters. */
export const MAX_REFUSAL = 2000

/** Steps that one trainer may want to be one pass: a host holds all but the last until that one comes. */
export const MAX_TOGETHER = 32
