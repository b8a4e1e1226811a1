export const CONTRIBUTION_PROTOCOL = '/colanet/contribution/1.0.0'

/** Members of one job whose records are told at once. */
export const MAX_RECORDS = 1024

/** Room for the name of a job, in bytes. */
export const MAX_REQUEST_BYTES = 256

/** Room for as many records with manifests of 64 chunks each, in bytes. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024

/** One exchange, in milliseconds. */
export const TIMEOUT = 30_000

/** Exchanges with one peer at the same time. */
export const MAX_INBOUND_STREAMS = 8
