/**
 * What a peer sees of the one that asks: from which address it comes, whether it can be dialled there, and what time it
 * is elsewhere. Only the address that the asker comes from is dialled, so that nobody can have a third party dialled.
 *
 * @example
 * ```ts
 * const checkups = checkup()(node)
 * await checkups.start()
 * const { from, dialled, time } = await checkups.ask(peer, [4001], { signal: AbortSignal.timeout(10_000) })
 * ```
 */
import type { PeerId, Startable } from '@libp2p/interface'
import { type CheckupComponents, type CheckupInit, CheckupExchange } from './checkup-exchange.js'
import type { Checkup } from './schema.js'

export interface Checkups extends Startable {
  /**
   * Asks a peer to dial this node back, and for its time.
   *
   * @param ports TCP ports at which this node listens; the first 8 are tried
   * @throws {ProtocolError} if the peer answers something else
   */
  ask (peer: PeerId, ports: readonly number[], options: { readonly signal: AbortSignal }): Promise<Checkup>
}

export function checkup (init: CheckupInit = {}): (components: CheckupComponents) => Checkups {
  return components => new CheckupExchange(components, init)
}

export type { Checkup, CheckupComponents, CheckupInit }
export { CHECKUP_PROTOCOL, MAX_PORTS } from './constants.js'
