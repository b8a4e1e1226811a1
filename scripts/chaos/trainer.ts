import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { Jobs, type JoinedJob } from '../../src/node/jobs.js'
import { type Outcome, outcomeOf } from '../../src/node/trainer/outcome.js'
import { settle } from '../../src/node/trainer/settle.js'
import { BlobExchange } from '../../src/protocols/blob/blob-exchange.js'
import { BlobStore } from '../../src/protocols/blob/index.js'
import { ContributionSync } from '../../src/protocols/contribution/contribution-sync.js'
import type { ContributionRecord } from '../../src/protocols/contribution/index.js'
import { Traffic } from '../../src/protocols/traffic.js'
import type { AdapterTensors } from '../../src/types.js'
import { below } from '../fuzz/random.js'
import type { Endpoint } from './network.js'
import { JOB, newAdapter, PATIENCE, SITES, type World } from './world.js'

/** How long a host may take to tell of a job before it is asked again, and the pause before, in milliseconds. */
const [SYNC_TIMEOUT, SYNC_PAUSE] = [7_000, 500]

/** The longest that a step takes, what comes between saving it and telling of it, and between settling and leaving, in milliseconds. */
const [STEP, SAVING, LEAVING] = [4_000, 300, 500]

/** How often a member that is started again goes on at a host that does not know what it has told before. */
const STRANGE = 0.4

/** What a member is started again from. */
interface Checkpoint {
  readonly step: number
  readonly tokens: number
  readonly adapter: AdapterTensors
}

/** A node's share in the job, of our own code but for what is beneath. */
export interface Node {
  readonly endpoint: Endpoint
  readonly contributions: ContributionSync
  readonly jobs: Jobs
  readonly joined: JoinedJob
}

/** What a member has in the end. */
export interface Left {
  readonly outcome: Outcome
  readonly records: readonly ContributionRecord[]
}

export async function startNode ({ network }: World, identity: PrivateKey, name: string): Promise<Node> {
  const endpoint = network.join(peerIdFromPrivateKey(identity), name)
  const { pubsub, bans, connectedPeers } = endpoint
  const store = new BlobStore()
  const counter = new Traffic()
  const blobs = new BlobExchange(endpoint, { store, breaches: bans })
  const jobs = new Jobs({ identity, store, log: () => {}, network: { pubsub, blobs, connectedPeers, counter, breaches: bans } })
  const contributions = new ContributionSync(endpoint, { store: jobs, breaches: bans })
  await blobs.start()
  await contributions.start()
  return { endpoint, contributions, jobs, joined: jobs.join(JOB, SITES) }
}

/** An honest member: what `trainAt` does, with numbers that are drawn in place of fits. */
export class Trainer {
  readonly name: string
  readonly peer: PeerId
  readonly #world: World
  readonly #identity: PrivateKey
  readonly #steps: number
  /** Latest last; the one before is what a disk has that was not quick enough. */
  #checkpoints: Checkpoint[]
  #node: Node | undefined
  #life = new AbortController()
  /** Its last contribution, once it has told of it. */
  final: ContributionRecord | undefined
  left: Left | undefined
  contributed = 0
  /** Whether it will be killed, and not started again. */
  dead = false
  /** Its places in the network, one a life. */
  readonly endpoints: Endpoint[] = []
  /** Who waits for it to contribute, and how often still. */
  #awaited: Array<{ times: number, readonly resolve: () => void }> = []

  constructor (world: World, name: string, identity: PrivateKey, steps: number) {
    this.#world = world
    this.name = name
    this.peer = peerIdFromPrivateKey(identity)
    this.#identity = identity
    this.#steps = steps
    this.#checkpoints = [{ step: 0, tokens: 0, adapter: newAdapter(world) }]
  }

  /** From its checkpoint until it leaves, or is killed. */
  async live (): Promise<void> {
    const { log } = this.#world
    const life = new AbortController()
    this.#life = life
    try {
      await this.#live(life.signal)
    } catch (error) {
      if (!life.signal.aborted) throw error
      log(`${this.name} is killed`)
    }
  }

  /** Ends when it has contributed so many times more, or has left. */
  async contributes (times: number): Promise<void> {
    await new Promise<void>(resolve => { this.#awaited.push({ times, resolve }) })
  }

  /** @param forgets whether its last checkpoint is lost too, where it has not told of its last contribution */
  kill (forgets: boolean): boolean {
    if (this.#node === undefined || this.left !== undefined) return false
    if (forgets && this.final === undefined && this.#checkpoints.length > 1) this.#checkpoints.pop()
    this.#node.endpoint.leave()
    this.#node = undefined
    this.#life.abort(new Error('killed'))
    return true
  }

  async #live (signal: AbortSignal): Promise<void> {
    const { random, time, log, expected } = this.#world
    const node = await startNode(this.#world, this.#identity, this.name)
    this.#node = node
    this.endpoints.push(node.endpoint)
    const strange = this.endpoints.length > 1 && this.final === undefined && random() < STRANGE
    if (!strange) await this.#sync(node, signal)
    let { step } = this.#latest
    log(`${this.name} begins after step ${step} of ${this.#steps}${strange ? ', at a host that knows nothing of the job' : ''}`)
    await this.#contribute(node.joined, signal)
    while (step < this.#steps) {
      await time.delay(random() * STEP, signal)
      step++
      this.#checkpoints = [this.#latest, { step, tokens: this.#latest.tokens + 1 + below(100, random), adapter: newAdapter(this.#world) }]
      await time.delay(random() * SAVING, signal)
      await this.#contribute(node.joined, signal)
    }
    const reporter = { progress: () => {}, log: (line: string) => { log(`${this.name}: ${line}`) } }
    await settle(node.joined, { expected, patience: PATIENCE, reporter }, signal)
    const outcome = outcomeOf(node.joined)
    this.left = { outcome, records: node.joined.members.held.map(({ record }) => record) }
    log(`${this.name} has settled: ${outcome.deltaHash.slice(0, 16)} of ${this.left.records.map(({ peer, round }) => `${peer.slice(-4)}/${round}`).join(' ')}`)
    await time.delay(random() * LEAVING, signal)
    node.endpoint.leave()
    node.jobs.stop()
  }

  get #latest (): Checkpoint { return this.#checkpoints[this.#checkpoints.length - 1] }

  /** What a host holds, as when a job is opened at it. */
  async #sync ({ contributions, joined }: Node, signal: AbortSignal): Promise<void> {
    const { host, time } = this.#world
    for (;;) {
      try {
        await contributions.sync(host, joined.id, { signal: AbortSignal.timeout(SYNC_TIMEOUT) })
        return
      } catch {
        await time.delay(SYNC_PAUSE, signal)
      }
    }
  }

  async #contribute (joined: JoinedJob, signal: AbortSignal): Promise<void> {
    const { step, tokens, adapter } = this.#latest
    const final = step === this.#steps
    const record = await joined.contribute(adapter, { tokens, final })
    signal.throwIfAborted()
    this.contributed++
    this.#world.log(`${this.name} contributes round ${record.round}: ${record.manifest.id.slice(0, 8)}, ${tokens} tokens${final ? ', its last' : ''}`)
    if (final) this.final = record
    this.#tick(final ? Infinity : 1)
  }

  #tick (times: number): void {
    for (const awaited of this.#awaited) awaited.times -= times
    for (const { resolve } of this.#awaited.filter(({ times }) => times <= 0)) resolve()
    this.#awaited = this.#awaited.filter(({ times }) => times > 0)
  }
}
