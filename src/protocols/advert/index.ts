/**
 * A host's lease on being found. It is told to every peer that connects, gossiped three times a lease, and entered in
 * the DHT under the model's id; it ends by itself when the host does.
 *
 * @example
 * ```ts
 * const adverts = advert({ pubsub: node.services.pubsub })(node)
 * await adverts.start()
 * adverts.offer(() => ({ model, name: 'tiny', … }))                             // at a host
 * for await (const { peer } of adverts.find(model, { signal })) { … }           // at a trainer
 * ```
 */
import type { Startable } from '@libp2p/interface'
import { type AdvertComponents, type AdvertInit, HeardAdverts } from './adverts.js'
import type { Advert, Offer } from './schema.js'

export interface Adverts extends Startable {
  /**
   * Is found from now on; a later offer takes the place of an earlier one.
   *
   * @param current is asked anew for each lease and each peer that asks, so that what is measured is fresh
   * @throws {ProtocolError} if it is more than can be gossiped
   */
  offer (current: () => Offer): void

  /** Adverts whose lease has not ended, those last that were heard last. */
  live (): Advert[]

  /**
   * Adverts that match: those that are known, then others as they are heard, each host once. It goes on
   * until the signal ends, whose reason it throws, or until the caller breaks off.
   *
   * @param wanted the full id of a model, under which the DHT is asked too, or a test
   */
  find (wanted: string | ((advert: Advert) => boolean), options: { readonly signal: AbortSignal }): AsyncGenerator<Advert, never>
}

export function advert (init: AdvertInit): (components: AdvertComponents) => Adverts {
  return components => new HeardAdverts(components, init)
}

export type { Advert, AdvertComponents, AdvertInit, Offer }
export { ADVERT_PROTOCOL } from './constants.js'
