/** What any one peer may do at a node, whatever it is there for. Who goes on far beyond is banned. */
export interface PeerLimits {
  /** Exchanges that it may begin in a second, of each protocol, and ten times as many at once. @default 500 */
  readonly exchanges: number
  /** Messages of gossip that it may send or pass on in a second, and ten times as many at once. @default 1000 */
  readonly messages: number
  /** How long it may let an exchange stand still that it began, in milliseconds, where its protocol does not say less. @default 60_000 */
  readonly standstill: number
}

/** Ten times what a trainer of a small model does at a host beside it; a relay of gossip passes on what many say. */
export const DEFAULT_PEER_LIMITS: PeerLimits = { exchanges: 500, messages: 1_000, standstill: 60_000 }
