export const BLOB_PROTOCOL = '/colanet/blob/1.0.0'

/** Chunks under way at once: enough to hide the round trip, few enough for the memory of both sides. */
export const CHUNKS_AHEAD = 4

/** Holders of one blob that are asked at the same time: enough that their uplinks add up, few enough for the memory of what is under way. */
export const HOLDERS_AT_ONCE = 4

/** Room for a chunk and what is around it, in bytes. */
export const MAX_CHUNK_FRAME_BYTES = 512 * 1024 + 64

/** Room for two ids and a few indices, in bytes. */
export const MAX_REQUEST_BYTES = 256

/** Requests that may wait unread: as many as one asker has under way, and some. */
export const MAX_UNREAD_REQUESTS = 2 * CHUNKS_AHEAD

/** A holder that sends nothing for this long is given up, in milliseconds. */
export const IDLE_TIMEOUT = 10_000

/** An asker that neither asks nor reads for this long is given up, in milliseconds. */
export const ASKER_TIMEOUT = 60_000

/** Pulls of one peer at the same time. */
export const MAX_INBOUND_STREAMS = 64

/** What a store holds, in bytes, unless told otherwise. */
export const STORE_BYTES = 1024 ** 3
