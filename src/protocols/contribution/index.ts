/**
 * A trainer's published state of its auxiliary: a signed record, which any member may pass on, and the auxiliary itself
 * as a blob. Records are gossiped on the job's topic as they are made; who joins late, or starts again, asks any member
 * for all that it holds.
 *
 * @example
 * ```ts
 * const record = await signRecord(privateKey, { job, round: 1, tokens: 512, final: false, manifest })
 * const contributions = contribution({ store: { records: job => map(job).records(), offer: record => map(record.job).add(record) } })(node)
 * await contributions.start()
 * await contributions.sync(hostId, job, { signal: AbortSignal.timeout(10_000) })
 * ```
 */
import type { PeerId, Startable } from '@libp2p/interface'
import { type ContributionComponents, type ContributionInit, ContributionSync } from './contribution-sync.js'

export interface Contributions extends Startable {
  /**
   * Asks a peer for its records of a job, and offers those to the store whose signatures are right. Returns how many.
   *
   * @throws {ProtocolError} if the peer answers something else
   */
  sync (peer: PeerId, job: string, options: { readonly signal: AbortSignal }): Promise<number>
}

export function contribution (init: ContributionInit): (components: ContributionComponents) => Contributions {
  return components => new ContributionSync(components, init)
}

export type { ContributionComponents, ContributionInit }
export { CONTRIBUTION_PROTOCOL, MAX_RECORDS } from './constants.js'
export type { RecordStore } from './contribution-sync.js'
export { type ContributionRecord, type RecordFields, recordSchema, signRecord, verifyRecord } from './record.js'
