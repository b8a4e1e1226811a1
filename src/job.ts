import { createHash } from 'node:crypto'
import { encode } from 'cborg'
import type { AuxiliaryKind, AuxiliarySpec, Merge, Mode } from './types.js'

/** Who trains what: all that members must agree on. Two jobs with equal fields are one job. */
export interface Job {
  /** Chosen by the users, so that they find each other. */
  readonly name: string
  /** Id of the base model, see `BaseModel.id`. */
  readonly model: string
  /** Full module names, sorted. */
  readonly sites: readonly string[]
  /** Shape of everyone's auxiliaries. */
  readonly auxiliary: Omit<AuxiliarySpec, 'kind' | 'shares'>
  /** Of which each member has one: several where it is a mixture. */
  readonly kinds: readonly AuxiliaryKind[]
  readonly mode: Mode
  readonly merge: Merge
  /** Batches of adaptation data gathered before a fit. */
  readonly interval: number
  /** Seed of the auxiliaries' start, so that members of a joint job start alike. */
  readonly seed: number
  /**
   * Share of the tokens of all members, above 0: once those that are done hold it, the others end where they are, so that a
   * straggler holds nobody. @default 1, that is never
   */
  readonly quorum?: number
}

/** Content id of a job: sha-256, in hex, of its canonical CBOR (RFC 8949, section 4.2). */
export function jobId (job: Job): string {
  const { name, model, sites, auxiliary, kinds, mode, merge, interval, seed, quorum = 1 } = job
  const { rank, alpha, ranks = {}, alphas = {}, rankStabilised = false, dropout = 0 } = auxiliary
  const canonical = { name, model, sites: [...sites].sort(), auxiliary: { rank, alpha, ranks, alphas, rankStabilised, ...(dropout > 0 && { dropout }) }, kinds: [...kinds], mode, merge, interval, seed, ...(quorum < 1 && { quorum }) }
  return createHash('sha256').update(encode(canonical)).digest('hex')
}

/** The auxiliaries that members may have, by kind. */
export function specsOf ({ kinds, auxiliary }: Pick<Job, 'kinds' | 'auxiliary'>): AuxiliarySpec[] {
  return kinds.map(kind => ({ kind, ...auxiliary }))
}
