import type { PeerId } from '@libp2p/interface'
import { MAX_AHEAD, type StepReply, type StepRequest } from '../../protocols/step/index.js'
import type { JobMessage } from '../../protocols/topic/index.js'
import type { ColaNode } from '../node.js'
import type { EncodedParts } from './encoded-part.js'
import type { LentBlobs } from './lent-blobs.js'

/** How long the trainer may take to listen, in milliseconds, see `JobTopic.publish`. */
const ANNOUNCE_TIMEOUT = 30_000

/** How long data are held of which a trainer says nothing any more, in milliseconds: it may have ended. */
const LENT_FOR = 10 * 60_000

/** Of which step of which job, and what its trainer says of others. */
type Lent = Pick<StepRequest, 'job' | 'step' | 'oldest'>

interface Held {
  readonly step: number
  /** In milliseconds. */
  readonly since: number
  readonly lending: Pick<Lending, 'end' | 'waiting'>
}

/**
 * The adaptation data that trainers may want still. A trainer says which of its steps it has the data of; whatever it says,
 * no more than the latest `MAX_AHEAD + 1` are held for each of its jobs, and none for more than ten minutes.
 */
export class Lendings {
  /** By trainer and job, in the order in which they came. */
  readonly #held = new Map<string, readonly Held[]>()
  readonly #now: () => number

  /** @param now in milliseconds */
  constructor (now = () => performance.now()) {
    this.#now = now
  }

  /** Called with each step before it is run: what its trainer has, what it asks for again, and all else where it says nothing. */
  release (trainer: string, { job, step, oldest = Infinity }: Lent): void {
    this.#keep(`${trainer}/${job}`, own => own.filter(other => other.step >= oldest && other.step !== step))
    const now = this.#now()
    for (const key of [...this.#held.keys()]) this.#keep(key, own => own.filter(({ since }) => now - since < LENT_FOR))
  }

  /** In place of a try of the same step that came meanwhile. */
  add (trainer: string, { job, step }: Lent, lending: Pick<Lending, 'end' | 'waiting'>): void {
    const since = this.#now()
    this.#keep(`${trainer}/${job}`, own => [...own.filter(other => other.step !== step), { step, since, lending }].slice(-MAX_AHEAD - 1))
  }

  /**
   * Bytes that wait for a trainer to pull them: of other jobs, and of the earlier steps of this one. It comes to those first, and what
   * waits of later ones is none of its fault when it sends a step again.
   */
  waitingBefore (trainer: string, { job, step }: Pick<Lent, 'job' | 'step'>): number {
    let bytes = 0
    for (const [key, own] of this.#held) {
      if (!key.startsWith(`${trainer}/`)) continue
      for (const held of own) if (key !== `${trainer}/${job}` || held.step < step) bytes += held.lending.waiting
    }
    return bytes
  }

  /** @param key trainer and job */
  #keep (key: string, choose: (own: readonly Held[]) => readonly Held[]): void {
    const before = this.#held.get(key) ?? []
    const kept = choose(before)
    for (const held of before) if (!kept.includes(held)) held.lending.end()
    if (kept.length > 0) this.#held.set(key, kept)
    else this.#held.delete(key)
  }
}

export interface LendingInit {
  readonly node: ColaNode
  readonly blobs: LentBlobs
  /** The trainer. */
  readonly peer: PeerId
  readonly request: StepRequest
  readonly reply: StepReply
}

/** The adaptation data of one step, held while its trainer may want them. */
export class Lending {
  readonly #node: ColaNode
  readonly #peer: PeerId
  readonly #request: StepRequest
  readonly #reply: StepReply
  readonly #blobs: LentBlobs
  readonly #ids: string[] = []
  #over = false

  constructor ({ node, blobs, peer, request, reply }: LendingInit) {
    this.#node = node
    this.#blobs = blobs
    this.#peer = peer
    this.#request = request
    this.#reply = reply
  }

  /** Announces each part as soon as it is there, while the trainer has the reply already. */
  async offer (parts: EncodedParts): Promise<void> {
    const { job, step, wire } = this.#request
    const to = this.#peer
    let count = 0
    for await (const part of parts) {
      if (this.#over) return
      const { sites, manifest } = part
      this.#blobs.add(part, to)
      this.#ids.push(manifest.id)
      const message: JobMessage = {
        type: 'adaptation', job, step, trainer: to.toString(), version: this.#reply.version, group: String(count++), sites: [...sites], wire, manifest
      }
      this.#node.jobs.get(job)?.topic?.publish(message, { to, signal: AbortSignal.timeout(ANNOUNCE_TIMEOUT) }).catch(this.#node.log)
    }
  }

  /** Bytes that are here and the trainer has not been sent. */
  get waiting (): number {
    return this.#ids.reduce((sum, id) => sum + this.#blobs.waiting(id, this.#peer), 0)
  }

  end (): void {
    this.#over = true
    for (const id of this.#ids) this.#blobs.delete(id, this.#peer)
  }
}
