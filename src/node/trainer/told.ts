import { isSameVersion, type Versioned } from '../../merge/contribution-map.js'
import type { ContributionMessage, Received } from '../../protocols/topic/index.js'
import { heardOf } from '../job-members.js'
import type { JoinedJob } from '../jobs.js'

/** What each member has told that it holds: one that settles tells of all. Dispatches `change`. */
export class Told extends EventTarget {
  readonly #joined: Pick<JoinedJob, 'topic' | 'members'>
  /** By who told it, and whose it is. */
  readonly #told = new Map<string, Map<string, Versioned>>()

  /** Listens until it is stopped. */
  constructor (joined: Pick<JoinedJob, 'topic' | 'members'>) {
    super()
    this.#joined = joined
    joined.topic?.addEventListener('contribution', this.#onContribution)
  }

  stop (): void {
    this.#joined.topic?.removeEventListener('contribution', this.#onContribution)
  }

  /** Whether a member has told that it holds all that is held here. */
  agrees (peer: string): boolean {
    const told = this.#told.get(peer)
    return told !== undefined && this.#joined.members.held.every(member => isSameVersion(told.get(member.peer), member))
  }

  readonly #onContribution = ({ detail: { record, from } }: CustomEvent<Received<ContributionMessage>>): void => {
    const teller = from.toString()
    const { members } = this.#joined
    if (members.heardOf(teller) === undefined || members.heardOf(record.peer) === undefined) return
    const { record: _, ...heard } = heardOf(record) // of every member by every member, so that nothing is kept of it that is not needed
    const told = this.#told.get(teller) ?? new Map<string, Versioned>()
    this.#told.set(teller, told)
    if (isSameVersion(told.get(record.peer), heard)) return
    if (record.peer === teller && told.has(teller)) told.clear() // it may have been started again, and holds nothing else
    told.set(record.peer, heard)
    this.dispatchEvent(new Event('change'))
  }
}
