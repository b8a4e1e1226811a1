export const ADVERT_PROTOCOL = '/colanet/advert/1.0.0'
export const ADVERT_TOPIC = 'colanet/1/adverts'

/** How long a host is taken to be there after its last sign, in milliseconds. */
export const LEASE = 30_000

/** A lease is renewed for the first time after so long, and then in pauses that grow, in milliseconds. */
export const FIRST_RENEWAL = 1_000

/** A lease that claims to last longer is not taken, in milliseconds: clocks differ, and hosts come and go. */
export const MAX_LEASE = 10 * 60_000

/** Hosts that are remembered; who was not heard for longest leaves first. Peers cost nothing to make up. */
export const MAX_HOSTS = 1024

/** As much as is gossiped at once, and what is around it, in bytes. */
export const MAX_ANSWER_BYTES = 64 * 1024 + 64

/** Room for an empty question, in bytes. */
export const MAX_REQUEST_BYTES = 16

/** The DHT is told again so often, in milliseconds: those near the model's id come and go. */
export const PROVIDE_INTERVAL = 10 * 60_000

/** One exchange, in milliseconds: a host may be busy with a step. */
export const TIMEOUT = 30_000

/** Exchanges with one peer at the same time. */
export const MAX_INBOUND_STREAMS = 4

/** Between searches in the DHT for hosts of a model that is looked for, in milliseconds. */
export const SEARCH_PAUSES = { first: 1_000, longest: 30_000 }
