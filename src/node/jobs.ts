import type { PeerId, PrivateKey } from '@libp2p/interface'
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id'
import { encodeAdapter } from '../gl/adapter-message.js'
import { type Job, jobId } from '../job.js'
import type { Blobs, BlobStore, HeldBlob } from '../protocols/blob/index.js'
import { type ContributionRecord, type RecordStore, signRecord } from '../protocols/contribution/index.js'
import { jobTopic, type JobTopic, type PubSub } from '../protocols/topic/index.js'
import type { BreachListener } from '../protocols/bans.js'
import type { ByteCounter } from '../protocols/traffic.js'
import { BlobUnavailableError } from '../errors.js'
import { supersedes } from '../merge/contribution-map.js'
import { manifestOf } from '../tensor/chunks.js'
import type { AdapterTensors, Site } from '../types.js'
import { heardOf, holdersOf, JobMembers } from './job-members.js'

/** How a job's members reach each other. */
export interface JobsNetwork {
  readonly pubsub: PubSub
  readonly blobs: Blobs
  readonly connectedPeers: () => PeerId[]
  readonly counter: ByteCounter
  readonly breaches?: BreachListener
  /** Has the members of a job meet until the signal ends, see `meetMembers`. @default they are met by chance */
  readonly meet?: (job: string, members: () => readonly PeerId[], signal: AbortSignal) => Promise<void>
}

export interface JobsInit {
  readonly identity: PrivateKey
  readonly store: BlobStore
  /** Is told what fails in the background. */
  readonly log: (error: unknown) => void
  /** None where host and trainer are one process. */
  readonly network?: JobsNetwork
}

/** Jobs that a node remembers; who was not asked for longest leaves first. Jobs cost nothing to make up. */
const MAX_JOBS = 256

/** The jobs that this node takes part in, in either role. */
export class Jobs implements RecordStore, BreachListener {
  readonly peer: string
  readonly #init: JobsInit
  /** In the order of use. */
  readonly #joined = new Map<string, JoinedJob>()

  constructor (init: JobsInit) {
    this.peer = peerIdFromPrivateKey(init.identity).toString()
    this.#init = init
  }

  /** @param sites of the job, with their sizes */
  join (job: Job, sites: readonly Site[]): JoinedJob {
    const id = jobId(job)
    const joined = this.get(id)
    if (joined !== undefined) return joined
    const made = new JoinedJob(this.#init, job, sites)
    this.#joined.set(id, made)
    for (const oldest of this.#joined.keys()) {
      if (this.#joined.size <= MAX_JOBS) break
      this.#leave(oldest)
    }
    return made
  }

  get (id: string): JoinedJob | undefined {
    const joined = this.#joined.get(id)
    if (joined !== undefined) {
      this.#joined.delete(id)
      this.#joined.set(id, joined)
    }
    return joined
  }

  /** What its users call a job that is here. */
  nameOf (id: string): string | undefined {
    return this.#joined.get(id)?.job.name
  }

  /** What is here of a job, for those who ask. */
  * records (id: string): Generator<ContributionRecord> {
    for (const { record } of this.#joined.get(id)?.members.held ?? []) yield record
  }

  offer (record: ContributionRecord): void {
    this.#joined.get(record.job)?.members.offer(record)
  }

  /** Tells the network of what a peer said about a job, where there is a network. */
  breach (peer: PeerId, what: string): void {
    this.#init.network?.breaches?.breach(peer, what)
  }

  stop (): void {
    for (const id of [...this.#joined.keys()]) this.#leave(id)
  }

  #leave (id: string): void {
    this.#joined.get(id)?.leave()
    this.#joined.delete(id)
  }
}

interface ContributeOptions {
  /** Tokens that the peer has trained on so far. */
  readonly tokens: number
  /** Whether it is the peer's last. */
  readonly final: boolean
  /** Whether the other members are told of it. @default true */
  readonly told?: boolean
}

/** What this peer contributes, as it will be signed. */
interface Latest extends Required<ContributeOptions> {
  readonly blob: HeldBlob
}

/** As it was signed. */
interface Own extends Latest {
  readonly record: ContributionRecord
}

/** A job that this node takes part in: its members, and its topic where there is a network. */
export class JoinedJob {
  readonly id: string
  readonly job: Job
  readonly sites: readonly Site[]
  readonly members: JobMembers
  readonly topic: JobTopic | undefined
  /** This peer. */
  readonly peer: string
  readonly #init: JobsInit
  readonly #left = new AbortController()
  #meets = false
  /** When each member last told of something itself, in milliseconds since 1970. */
  readonly #spokeAt = new Map<string, number>()
  #own: Own | undefined
  /** Ends when what is being signed is. */
  #turn: Promise<void> = Promise.resolve()

  constructor (init: JobsInit, job: Job, sites: readonly Site[]) {
    const { network, store, log, identity } = init
    this.id = jobId(job)
    this.job = job
    this.sites = sites
    this.peer = peerIdFromPrivateKey(identity).toString()
    this.#init = init
    const refused = (peer: string, what: string): void => { if (peer !== this.peer) network?.breaches?.breach(peerIdFromString(peer), what) }
    this.members = new JobMembers({ job, sites, log, refused, release: blob => store.delete(blob), pull: this.#pull })
    const isUseful = (record: ContributionRecord): boolean => this.members.hasUseFor(record)
    this.topic = network && jobTopic({ job: this.id, counter: network.counter, isUseful, ...(network.breaches && { breaches: network.breaches }) })(network.pubsub)
    this.topic?.addEventListener('contribution', ({ detail: { record, from } }) => {
      this.members.offer(record)
      if (this.members.heardOf(from.toString()) !== undefined) this.#spokeAt.set(from.toString(), Date.now())
    })
    this.members.addEventListener('change', () => { this.#outdo().catch(log) })
    this.topic?.start()
  }

  leave (): void {
    this.topic?.stop()
    this.#left.abort()
  }

  /** This peer's latest. */
  get contribution (): ContributionRecord | undefined { return this.#own?.record }

  /** Has this trainer meet others, from its first contribution on: hosts are found by trainers. */
  #meetOthers (): void {
    const { network, log } = this.#init
    if (this.#meets || this.job.mode === 'alone') return
    this.#meets = true
    const members = (): PeerId[] => this.topic?.listeners.filter(peer => this.members.heardOf(peer.toString()) !== undefined) ?? []
    network?.meet?.(this.id, members, this.#left.signal).catch(log) // it ends when the job is left
  }

  /** When a member last told of something itself, in milliseconds since 1970; 0 for never. */
  spokeAt (peer: string): number { return this.#spokeAt.get(peer) ?? 0 }

  /** Publishes the auxiliary of this peer's own: it is this peer's latest contribution from now on. */
  async contribute (adapter: AdapterTensors, { tokens, final, told = true }: ContributeOptions): Promise<ContributionRecord> {
    this.#meetOthers()
    const bytes = encodeAdapter(adapter)
    const latest = { blob: { manifest: manifestOf(bytes), bytes, kind: 'contribution' }, told, tokens, final }
    return await this.#inTurn(async () => await this.#sign(latest))
  }

  /** Signs this peer's latest, beyond all rounds of its own that were heard of, by the time that it counts. */
  async #sign ({ blob, told, tokens, final }: Latest): Promise<ContributionRecord> {
    const { identity, store } = this.#init
    for (;;) {
      const round = (this.members.heardOf(this.peer)?.round ?? 0) + 1
      const record = await signRecord(identity, { job: this.id, round, tokens, final, manifest: blob.manifest })
      this.#own = { blob, told, tokens, final, record }
      store.add(blob)
      await this.members.fetch(record, AbortSignal.timeout(1)) // it is in the store
      if (this.#isOutdone()) continue
      if (told) await this.announce([record])
      return record
    }
  }

  /**
   * Signs this peer's latest anew where one is heard of that stands in its place: of before it was started again, from a checkpoint
   * that is older than what it had told.
   */
  async #outdo (): Promise<void> {
    if (!this.#isOutdone()) return
    await this.#inTurn(async () => {
      if (this.#own !== undefined && this.#isOutdone()) await this.#sign(this.#own)
    })
  }

  #isOutdone (): boolean {
    const heard = this.members.heardOf(this.peer)
    return this.#own !== undefined && heard !== undefined && supersedes(heardOf(heard), heardOf(this.#own.record))
  }

  /** Rounds are signed one after the other. */
  async #inTurn<T> (work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.then(() => {}, () => {})
    return await done
  }

  /** Tells the other members of records, whoever made them. */
  async announce (records: readonly ContributionRecord[]): Promise<void> {
    for (const record of records) await this.topic?.publish({ type: 'contribution', record })
  }

  readonly #pull = async (record: ContributionRecord, signal: AbortSignal): Promise<Uint8Array> => {
    const { network, store } = this.#init
    const held = store.get(record.manifest.id)
    if (held !== undefined) return held.bytes
    if (network === undefined) throw new BlobUnavailableError(`contribution ${record.manifest.id} is not here, and there is no network`)
    const holders = holdersOf(peerIdFromString(record.peer), network.connectedPeers())
    return await network.blobs.pull(record.manifest, holders, { kind: 'contribution', job: this.id, signal })
  }
}
