import { ProtocolError } from '../../errors.js'
import type { ContributionRecord } from '../../protocols/contribution/index.js'
import type { StepReply } from '../../protocols/step/index.js'
import type { AdapterTensors } from '../../types.js'

/** A trainer's own auxiliaries as they were after so many fits. */
export interface Version {
  readonly fits: number
  /** Tokens that it had trained on then. */
  readonly tokens: number
  readonly adapter: AdapterTensors
}

/** As it was contributed. */
export interface ContributedVersion extends Version {
  readonly record: ContributionRecord
}

/** A trainer's latest versions: those with which steps may be under way. */
export class OwnVersions {
  readonly #peer: string
  readonly #count: number
  /** Latest last. */
  #kept: readonly ContributedVersion[] = []

  /**
   * @param peer the trainer
   * @param count how many are kept
   */
  constructor (peer: string, count: number) {
    this.#peer = peer
    this.#count = count
  }

  add (version: ContributedVersion): void {
    this.#kept = [...this.#kept, version].slice(-this.#count)
  }

  /** From after so many fits on, but not the one after `end`. */
  between (begin: number, end: number): readonly Version[] {
    return this.#kept.filter(({ fits }) => fits >= begin && fits < end)
  }

  after (fits: number): ContributedVersion | undefined {
    return this.#kept.findLast(version => version.fits === fits)
  }

  /**
   * The one with which a host made the data of a step. Of those that are equal, as a fit at rate 0 leaves them, it is the one
   * that was sent with it.
   *
   * @throws {ProtocolError} if it is none that the trainer has had, or one that is not kept any more
   */
  madeWith ({ version, members }: StepReply, mode: 'alone' | 'collaboration', sent: ContributedVersion | undefined): ContributedVersion {
    const id = mode === 'alone' ? version : members.find(({ peer }) => peer === this.#peer)?.manifest.id
    if (sent !== undefined && sent.record.manifest.id === id) return sent
    const made = this.#kept.findLast(({ record }) => record.manifest.id === id)
    if (made === undefined) throw new ProtocolError(`the host ran ${id ?? 'no auxiliary'}, which is none of the trainer's latest ${this.#count}: ${this.#kept.map(({ record }) => record.manifest.id).join(', ')}`)
    return made
  }
}
