export const CHECKUP_PROTOCOL = '/colanet/checkup/1.0.0'

/** Ports that are tried for one peer: a node listens on few. */
export const MAX_PORTS = 8

/** Room for so many ports, in bytes. */
export const MAX_REQUEST_BYTES = 256

/** Room for what became of so many ports, in bytes. */
export const MAX_ANSWER_BYTES = 4096

/** How long one port is tried, in milliseconds. */
export const DIAL_TIMEOUT = 5_000

/** One exchange, in milliseconds: ports are tried side by side, and a peer may be busy. */
export const TIMEOUT = 30_000

/** Exchanges with one peer at the same time. */
export const MAX_INBOUND_STREAMS = 2

/** Characters of what went wrong that are told. */
export const MAX_REASON = 200
