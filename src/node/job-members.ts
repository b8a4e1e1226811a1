import type { PeerId } from '@libp2p/interface'
import { decodeAdapter } from '../gl/adapter-message.js'
import { type Job, specsOf } from '../job.js'
import { ContributionMap, isSameVersion, supersedes, type Versioned } from '../merge/contribution-map.js'
import { type ContributionRecord, MAX_RECORDS } from '../protocols/contribution/index.js'
import { Deadline } from '../protocols/deadline.js'
import type { AdapterTensors, AuxiliarySpec, Site } from '../types.js'

/** What was heard of a trainer's contribution to a job. */
interface Heard extends Versioned {
  readonly record: ContributionRecord
}

/** A trainer's auxiliaries, of some of the job's sites or all. */
export interface Contributed {
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
}

/** A trainer's contribution to a job: its signed record, and the auxiliaries themselves. */
export interface Member extends Heard, Contributed {}

/** A contribution, with what decides whether it stands beside its record. */
export function memberOf (record: ContributionRecord, contributed: Contributed): Member {
  return { ...heardOf(record), ...contributed }
}

export interface JobMembersInit {
  readonly job: Job
  /** The sites of the job. */
  readonly sites: readonly Site[]
  /** Gets a contribution's blob. */
  readonly pull: (record: ContributionRecord, signal: AbortSignal) => Promise<Uint8Array>
  /** Is told of who signed what is no auxiliary of the job, which a node of ours does not. */
  readonly refused?: (peer: string, what: string) => void
  /** Is told of blobs that are superseded. */
  readonly release: (blob: string) => void
  /** Is told what fails in the background. */
  readonly log: (error: unknown) => void
}

/**
 * Rounds of each peer that are kept where members move one auxiliary: a trainer's gradients are taken where the host
 * was when it ran the batch, and the others go on meanwhile. Elsewhere only the latest matters.
 */
const ROUNDS_KEPT = 4

/** Records of a peer that are kept while their auxiliaries are looked for: the latest, and of the others those that were heard of last. */
const MAX_CANDIDATES = 4

/** Peers of which contributions are heard, by job: as many as are told of. Peers cost nothing to make up. */
const MAX_MEMBERS = MAX_RECORDS

/** How long a contribution that was only heard of may take to be pulled, in milliseconds. */
const PULL_TIMEOUT = 120_000

/**
 * A job's contributions as this peer has them. A record counts once its auxiliary is here, whole and of the job's
 * shapes: what is left out for its content is left out everywhere, as its hash says what the content is. Where nobody can give the
 * latest of a peer, as one that was killed after it had told of it, the latest that somebody gives counts.
 */
export class JobMembers extends EventTarget {
  readonly #init: JobMembersInit
  /** The latest that was heard of. */
  readonly #heard = new ContributionMap<Heard>()
  /** The latest that is here. */
  readonly #held = new ContributionMap<Member>()
  /** By peer, those that would count in place of what is here if somebody gave them, in the order in which they were heard of. */
  readonly #candidates = new Map<string, readonly Heard[]>()
  /** When there was last news of a peer, in milliseconds since 1970. */
  readonly #newsAt = new Map<string, number>()
  readonly #pulling = new Set<string>()
  /** Ids of blobs that are no auxiliaries of the job, by who signed them: the last of each. Others tell of them again. */
  readonly #refused = new Map<string, string>()
  /** Rounds that are kept of a peer, where they are others than by the job's mode. */
  readonly #kept = new Map<string, number>()
  /** Auxiliaries of each peer by their ids, latest last. */
  readonly #adapters = new Map<string, Map<string, Contributed>>()

  constructor (init: JobMembersInit) {
    super()
    this.#init = init
  }

  /** Those that count, in the order in which they are summed. */
  get held (): readonly Member[] { return [...this.#held] }

  /** The latest records of all peers that were heard of, whether or not their auxiliaries are here. */
  get heard (): readonly ContributionRecord[] { return [...this.#heard].map(({ record }) => record) }

  /** Names the state of those that count. */
  stateId (): string { return this.#held.stateId() }

  heardOf (peer: string): ContributionRecord | undefined { return this.#heard.get(peer)?.record }

  /** Whether the latest that was heard of a peer counts. */
  holdsLatestOf (peer: string): boolean {
    return isSameVersion(this.#held.get(peer), this.#heard.get(peer))
  }

  /** Whether it counts, or may count one day, and there is room for its peer: that a later one was heard of does not say that anybody has it. */
  hasUseFor ({ peer, round }: ContributionRecord): boolean {
    const known = this.#heard.get(peer)
    if (known === undefined) return this.#heard.size < MAX_MEMBERS
    const { round: least } = this.#fetches ? this.#held.get(peer) ?? { round: 0 } : known
    return round >= least
  }

  /** In milliseconds since 1970; 0 for never. */
  newsAt (peer: string): number { return this.#newsAt.get(peer) ?? 0 }

  /** Keeps so many rounds of a peer, or as many as the job's mode wants: of a trainer itself, those with which steps of its own are under way. */
  keep (peer: string, rounds: number): void { this.#kept.set(peer, rounds) }

  /**
   * Hears of a record whose signature is right. Where contributions are averaged its auxiliary is fetched in the
   * background, of each peer the latest that somebody gives.
   */
  offer (record: ContributionRecord): void {
    if (!this.hasUseFor(record)) return
    this.#hear(record)
    this.#fetchInBackground(record.peer)
  }

  /** Tries again, in the background, to get auxiliaries that were heard of and are not here. */
  fetchMissing (): void {
    for (const peer of this.#candidates.keys()) this.#fetchInBackground(peer)
  }

  /**
   * Has a record whose signature is right count.
   *
   * @throws {BlobUnavailableError} if nobody gives the auxiliary
   * @throws {InvalidTensorError} if it is not safetensors
   * @throws {InvalidAdapterError} if it is not one of this job's shapes
   */
  async fetch (record: ContributionRecord, signal: AbortSignal): Promise<void> {
    await this.#fetch(record, signal)
  }

  /** @param refused is told what is wrong with the auxiliary */
  async #fetch (record: ContributionRecord, signal: AbortSignal, refused = this.#init.refused): Promise<void> {
    this.#hear(record)
    const known = this.#held.get(record.peer)
    if (known !== undefined && known.round > record.round) return
    const contributed = await this.#contributedBy(record, signal, refused)
    const changed = this.#held.add(memberOf(record, contributed))
    this.#tidy(record.peer)
    if (!changed) return
    this.#keepCandidates(record.peer, this.#candidates.get(record.peer) ?? [])
    this.dispatchEvent(new Event('change'))
  }

  /** The auxiliary of a record, be it the latest of its peer or one of a few rounds ago. Throws as `fetch` does. */
  async contributedBy (record: ContributionRecord, signal: AbortSignal): Promise<Contributed> {
    const contributed = await this.#contributedBy(record, signal)
    this.#tidy(record.peer)
    return contributed
  }

  async #contributedBy (record: ContributionRecord, signal: AbortSignal, refused = this.#init.refused): Promise<Contributed> {
    const { peer, manifest: { id } } = record
    const known = this.#adapters.get(peer)?.get(id)
    if (known !== undefined) return known
    const contributed = this.#decode(record, await this.#init.pull(record, signal), refused)
    this.#adapters.set(peer, (this.#adapters.get(peer) ?? new Map<string, Contributed>()).set(id, contributed))
    return contributed
  }

  #decode ({ peer, manifest: { id } }: ContributionRecord, bytes: Uint8Array, refused: JobMembersInit['refused']): Contributed {
    const { job, sites } = this.#init
    try {
      return decodeAdapter(bytes, specsOf(job), sites)
    } catch (error) {
      this.#refused.set(peer, id)
      this.#keepCandidates(peer, (this.#candidates.get(peer) ?? []).filter(heard => heard.id !== id)) // it is that for everyone
      refused?.(peer, `a contribution that is none of its job: ${(error as Error).message}`)
      throw error
    }
  }

  #hear (record: ContributionRecord): void {
    const heard = heardOf(record)
    const isLatest = this.#heard.add(heard)
    this.#addCandidate(heard)
    if (!isLatest) return
    this.#newsAt.set(record.peer, Date.now())
    this.dispatchEvent(new Event('change'))
  }

  #addCandidate (heard: Heard): void {
    const { peer } = heard
    const known = this.#candidates.get(peer) ?? []
    if (!known.some(other => isSameVersion(other, heard))) this.#keepCandidates(peer, [...known, heard])
  }

  /** Of some those that would count in place of what is here, and no more than are kept. */
  #keepCandidates (peer: string, some: readonly Heard[]): void {
    const [held, latest] = [this.#held.get(peer), this.#heard.get(peer)]
    const superseding = some.filter(heard => held === undefined || supersedes(heard, held))
    const [last, others] = [true, false].map(wanted => superseding.filter(heard => isSameVersion(heard, latest) === wanted))
    const kept = [...others.slice(1 - MAX_CANDIDATES), ...last]
    if (kept.length === 0) this.#candidates.delete(peer)
    else this.#candidates.set(peer, kept)
  }

  /** Lets go of a peer's oldest auxiliaries, but never of the one that counts: it may have come before an older one. */
  #tidy (peer: string): void {
    const kept = this.#adapters.get(peer) ?? new Map<string, Contributed>()
    const { job, release } = this.#init
    const rounds = Math.max(job.mode === 'joint' ? ROUNDS_KEPT : 1, this.#kept.get(peer) ?? 1)
    for (const oldest of kept.keys()) {
      if (kept.size <= rounds) return
      if (oldest === this.#held.get(peer)?.id) continue
      kept.delete(oldest)
      const shared = [...this.#adapters.values()].some(own => own.has(oldest)) // members may start alike
      if (!shared) release(oldest)
    }
  }

  /** Whether auxiliaries are fetched before anybody asks for them. */
  get #fetches (): boolean { return this.#init.job.mode !== 'alone' }

  #fetchInBackground (peer: string): void {
    if (!this.#fetches || this.#pulling.has(peer)) return
    this.#fetchBestOf(peer).catch(this.#init.log)
  }

  /** The latest first, and where nobody gives it the one before. What fails is tried again when it is asked for, or told of anew. */
  async #fetchBestOf (peer: string): Promise<void> {
    this.#pulling.add(peer)
    const failed = new WeakSet<Heard>()
    try {
      for (let best = this.#bestOf(peer, failed); best !== undefined; best = this.#bestOf(peer, failed)) {
        const deadline = new Deadline(PULL_TIMEOUT, `the contribution of ${peer}`)
        try {
          await this.#fetch(best.record, deadline.signal, this.#refused.get(peer) === best.id ? () => {} : this.#init.refused)
        } catch (error) {
          failed.add(best)
          this.#init.log(error)
        } finally {
          deadline.clear()
        }
      }
    } finally {
      this.#pulling.delete(peer)
    }
  }

  /** Of a peer's candidates that have not failed the one that would stand. */
  #bestOf (peer: string, failed: WeakSet<Heard>): Heard | undefined {
    const best = new ContributionMap<Heard>()
    for (const heard of this.#candidates.get(peer) ?? []) {
      if (!failed.has(heard)) best.add(heard)
    }
    return best.get(peer)
  }
}

/** A record, with what decides whether it stands. */
export function heardOf (record: ContributionRecord): Heard {
  const { peer, round, tokens, manifest: { id } } = record
  return { peer, round, tokens, id, record }
}

/** Whoever may hold a contribution: first who made it, then all whom this node is connected to. */
export function * holdersOf (author: PeerId, connected: Iterable<PeerId>): Generator<PeerId> {
  yield author
  for (const peer of connected) {
    if (!peer.equals(author)) yield peer
  }
}
