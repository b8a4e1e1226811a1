import type { PeerId } from '@libp2p/interface'
import { MAX_AHEAD, type StepReply, type StepRequest } from '../../protocols/step/index.js'
import type { JobMessage } from '../../protocols/topic/index.js'
import type { ColaNode } from '../node.js'
import type { EncodedParts } from './encoded-part.js'
import type { LentBlobs } from './lent-blobs.js'

/** How long the trainer may take to listen, in milliseconds, see `JobTopic.publish`. */
const ANNOUNCE_TIMEOUT = 30_000

/** Of which step of which job, and what its trainer says of others. */
type Lent = Pick<StepRequest, 'job' | 'step' | 'oldest'>

interface Held {
  readonly step: number
  readonly lending: Pick<Lending, 'end'>
}

/**
 * The adaptation data that trainers may want still. A trainer says which of its steps it has the data of; whatever it says,
 * no more than the latest `MAX_AHEAD + 1` are held for each of its jobs.
 */
export class Lendings {
  /** By trainer and job, in the order in which they came. */
  readonly #held = new Map<string, readonly Held[]>()

  /** Called with each step before it is run: what its trainer has, what it asks for again, and all else where it says nothing. */
  release (trainer: string, { job, step, oldest = Infinity }: Lent): void {
    this.#keep(trainer, job, own => own.filter(other => other.step >= oldest && other.step !== step))
  }

  /** In place of a try of the same step that came meanwhile. */
  add (trainer: string, { job, step }: Lent, lending: Pick<Lending, 'end'>): void {
    this.#keep(trainer, job, own => [...own.filter(other => other.step !== step), { step, lending }].slice(-MAX_AHEAD - 1))
  }

  #keep (trainer: string, job: string, choose: (own: readonly Held[]) => readonly Held[]): void {
    const key = `${trainer}/${job}`
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

  end (): void {
    this.#over = true
    for (const id of this.#ids) this.#blobs.delete(id, this.#peer)
  }
}
