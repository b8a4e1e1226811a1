import { isDeepStrictEqual } from 'node:util'
import type { PeerId } from '@libp2p/interface'
import { pEventIterator } from 'p-event'
import { needNorms } from '../../auxiliary-spec.js'
import { ModelMismatchError, ProtocolError } from '../../errors.js'
import type { Job } from '../../job.js'
import type { NetworkInfo } from '../../model/network.js'
import { countedIn } from '../../model/tasks/tasks.js'
import { Deadline } from '../../protocols/deadline.js'
import type { OpenReply, StepClient, StepReply } from '../../protocols/step/index.js'
import type { AdaptationMessage, JobTopic, Received } from '../../protocols/topic/index.js'
import { decodeAdaptation, type MessageLayout, mostBytes } from '../../tensor/adaptation.js'
import type { Manifest } from '../../tensor/chunks.js'
import { decodeWeightNorms, type WeightNorms } from '../../tensor/weight-norms.js'
import type { AdaptationData, Site, SiteData } from '../../types.js'
import type { JoinedJob } from '../jobs.js'
import type { ColaNode } from '../node.js'
import type { Step, StepResult } from './step-runner.js'
import { layoutOf, type Wanted } from './wire-form.js'

/**
 * How long a host may take to announce the next part of a step's adaptation data, in milliseconds: nobody tells whether an
 * announcement was lost. A host that took long to reply may take this many times as long: a backward pass takes about twice a
 * forward one. How long a part is on its way is limited by nothing but that it goes on.
 */
const ANNOUNCEMENT_TIMEOUT = { least: 60_000, most: 600_000 }
const REPLIES_PER_ANNOUNCEMENT = 4

/** Parts that are here or on their way at once: one is used, one comes, and one is asked for. */
const PLACES = 3

type Announcement = CustomEvent<Received<AdaptationMessage>>
type Announcements = AsyncIterableIterator<Announcement>

export interface RemoteHostInit {
  readonly node: ColaNode
  readonly client: StepClient
  readonly peer: PeerId
  readonly joined: JoinedJob
  /** What the job's base model is for. */
  readonly model: Pick<NetworkInfo, 'task' | 'labels'>
  readonly wanted: Wanted
}

/** One host of the mesh, at which this trainer's job is open. */
export class RemoteHost {
  readonly peer: PeerId
  /** Norms of the rows of the sites' weights, where the job's auxiliaries start from them; else nothing. */
  readonly norms: WeightNorms
  readonly #node: ColaNode
  readonly #client: StepClient
  readonly #joined: JoinedJob
  readonly #model: RemoteHostInit['model']
  readonly #topic: JobTopic
  readonly #wanted: Wanted
  /** Where parts of a step's adaptation data were put, in turns; each step that runs has its own. */
  readonly #spare: Uint8Array[][] = []

  private constructor ({ node, client, peer, joined, model, wanted }: RemoteHostInit, topic: JobTopic, norms: WeightNorms) {
    this.peer = peer
    this.norms = norms
    this.#node = node
    this.#client = client
    this.#joined = joined
    this.#model = model
    this.#topic = topic
    this.#wanted = wanted
  }

  /**
   * Opens the job at a host, and learns what it knows of its members.
   *
   * @throws {InvalidTensorError} or {ProtocolError} if it does not give the norms that the job's auxiliaries start from
   * @throws {ModelMismatchError} if the host serves another model, or sites of other sizes, than it was said to
   * @throws what the host refuses with
   */
  static async open (init: RemoteHostInit, signal: AbortSignal): Promise<RemoteHost> {
    const { node, client, peer, joined } = init
    const { topic, job, sites, id } = joined
    if (topic === undefined) throw new ProtocolError('the job was joined without a network')
    return await node.pulses.during(peer, signal, async signal => {
      const opened = await client.open(peer, job, { signal })
      if (opened.model !== job.model || !isDeepStrictEqual(sorted(opened.sites), sorted(sites))) {
        throw new ModelMismatchError(`${peer.toString()} advertises model ${job.model}, but serves ${opened.model}, or sites of other sizes`)
      }
      const norms = startNorms(opened, job, sites)
      await node.contributions.sync(peer, id, { signal })
      return new RemoteHost(init, topic, norms)
    })
  }

  /** @throws {ProtocolError} if the host's reply is not one to this step, or it gives no sign of life */
  async run<T> (step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T> {
    return await this.#node.pulses.during(this.peer, signal, async signal => await this.#run(step, use, signal))
  }

  async #run<T> (step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T> {
    const announcements = this.#listen()
    const tokens = countedIn(step.batch, this.#model)
    const { wire, sites } = this.#wanted
    const began = performance.now()
    try {
      const reply = await this.#client.step(this.peer, { ...step, job: this.#joined.id, wire, sites: sites.map(({ name }) => name) }, { signal })
      if (reply.tokens !== tokens) throw new ProtocolError(`the host counts ${reply.tokens} tokens in a batch that has ${tokens}`)
      const timeout = Math.min(ANNOUNCEMENT_TIMEOUT.most, Math.max(ANNOUNCEMENT_TIMEOUT.least, REPLIES_PER_ANNOUNCEMENT * (performance.now() - began)))
      const deadline = new Deadline(timeout, `adaptation data of ${this.peer.toString()}`, signal)
      return await this.#use(step, reply, announcements, use, deadline)
    } finally {
      await announcements.return?.()
    }
  }

  /** The first data are on their way before they are asked for: a step that runs ahead waits for its turn meanwhile. */
  async #use<T> (step: Step, reply: StepReply, announcements: Announcements, use: (result: StepResult) => T | Promise<T>, deadline: Deadline): Promise<T> {
    const stop = (): void => { announcements.return?.().catch(this.#node.log) }
    const onDisconnect = ({ detail }: CustomEvent<PeerId>): void => {
      if (detail.equals(this.peer)) deadline.abort(new ProtocolError('the host went away before all of its data were here'))
    }
    const { mesh } = this.#node
    deadline.signal.addEventListener('abort', stop)
    mesh.addEventListener('peer:disconnect', onDisconnect)
    const data = this.#receive(step, reply, announcements, deadline)
    const first = data.next()
    first.catch(() => {}) // it is told when it is asked for
    try {
      return await use({ reply, data: beginningWith(first, data) })
    } finally {
      mesh.removeEventListener('peer:disconnect', onDisconnect)
      deadline.signal.removeEventListener('abort', stop)
      deadline.abort(new ProtocolError('nobody waits for more of this step'))
    }
  }

  /** From before the step is sent: announcements may come before the reply. They are anyone's, as p-event filters no iterator. */
  #listen (): Announcements {
    return pEventIterator<'adaptation', Announcement>(this.#topic, 'adaptation')
  }

  /** Whether it is this host's answer to this try of the step. */
  #isAnswer ({ from, trainer, ...said }: Received<AdaptationMessage>, { step }: Step, { version }: StepReply): boolean {
    return from.equals(this.peer) && trainer === this.#joined.peer && said.step === step && said.version === version
  }

  async * #receive (step: Step, reply: StepReply, announcements: Announcements, deadline: Deadline): AsyncGenerator<readonly [string, SiteData], void> {
    const missing = new Set(step.purpose === 'train' ? this.#wanted.sites.map(({ name }) => name) : [])
    if (missing.size > 0 && this.#node.mesh.getConnections(this.peer).length === 0) throw new ProtocolError('the host went away before its data were here')
    const places = this.#spare.pop() ?? []
    const pulls: Array<Promise<AdaptationData>> = []
    let turn = 0
    const begin = async (): Promise<void> => {
      deadline.touch()
      const { manifest, sites } = await this.#announced(step, reply, announcements, missing, deadline.signal)
      deadline.pause()
      const layout = layoutOf(this.#wanted, sites, step.batch)
      const pull = this.#pull(manifest, layout, places, turn++ % PLACES, deadline.signal)
      pull.catch(() => {}) // it is told when it is waited for
      pulls.push(pull)
    }
    while (missing.size > 0 || pulls.length > 0) {
      while (missing.size > 0 && pulls.length < PLACES - 1) await begin()
      const data = await pulls.shift() ?? []
      if (missing.size > 0) await begin() // is on its way while this one is used
      yield * data
    }
    this.#spare.push(places)
  }

  /** The next part that is wanted; its sites are missing no longer. */
  async #announced (step: Step, reply: StepReply, announcements: Announcements, missing: Set<string>, signal: AbortSignal): Promise<{ manifest: Manifest, sites: Site[] }> {
    for (;;) {
      const { value, done } = await announcements.next() as IteratorResult<Announcement, undefined>
      signal.throwIfAborted()
      if (done === true) throw new ProtocolError('the job\'s topic was left')
      const { detail } = value
      if (!this.#isAnswer(detail, step, reply)) continue
      const sites = detail.sites.map(name => this.#site(name))
      if (!detail.sites.every(name => missing.has(name))) continue // of an earlier try of the step
      for (const name of detail.sites) missing.delete(name)
      return { manifest: detail.manifest, sites }
    }
  }

  /** @param place which of the places, which take turns */
  async #pull (manifest: Manifest, layout: MessageLayout, places: Uint8Array[], place: number, signal: AbortSignal): Promise<AdaptationData> {
    const { size } = manifest
    const most = mostBytes(layout)
    if (size > most) throw new ProtocolError(`the host announces ${size} bytes for ${layout.shapes.size} tensors, which have ${most} at most`)
    if ((places.at(place)?.byteLength ?? 0) < size) places[place] = new Uint8Array(size)
    const bytes = places[place].subarray(0, size)
    await this.#node.blobs.pullInto(bytes, manifest, [this.peer], { kind: 'adaptation', job: this.#joined.id, signal })
    return decodeAdaptation(bytes, layout)
  }

  #site (name: string): Site {
    const site = this.#joined.sites.find(site => site.name === name)
    if (site === undefined) throw new ProtocolError(`the host announced ${name}, which is no site of the job`)
    return site
  }
}

function startNorms ({ norms }: OpenReply, { kinds }: Job, sites: readonly Site[]): WeightNorms {
  if (!needNorms(kinds)) return new Map()
  if (norms === undefined) throw new ProtocolError('the host does not give the norms that the job\'s auxiliaries start from')
  return decodeWeightNorms(norms, sites)
}

/** All of a generator of which the first was asked for already. */
async function * beginningWith<T> (first: Promise<IteratorResult<T, void>>, rest: AsyncGenerator<T, void>): AsyncGenerator<T, void> {
  const { value, done } = await first
  if (done === true) return
  yield value
  yield * rest
}

function sorted (sites: readonly Site[]): Site[] {
  return [...sites].sort((a, b) => a.name < b.name ? -1 : 1)
}
