import { createHash } from 'node:crypto'

/** What of a contribution decides which one of a peer's stands. */
export interface Versioned {
  readonly peer: string
  /** Counts up with every contribution of the peer to the job. */
  readonly round: number
  /** Tokens that the peer has trained on so far: its weight. */
  readonly tokens: number
  /** Content hash of the auxiliary, in hex. */
  readonly id: string
}

/**
 * A job's state: each peer's latest contribution. The highest round stands, ties go to the greater id, and then to more
 * tokens. So merging is commutative, associative and idempotent (a state-based CRDT, Shapiro et al. 2011): lost, doubled
 * and reordered messages end in the same state at every member.
 */
export class ContributionMap<R extends Versioned> implements Iterable<R> {
  readonly #latest = new Map<string, R>()

  /** Whether the record is news: it stands now, and did not before. */
  add (record: R): boolean {
    const known = this.#latest.get(record.peer)
    if (known !== undefined && !supersedes(record, known)) return false
    this.#latest.set(record.peer, record)
    return true
  }

  /** A peer's contribution that stands. */
  get (peer: string): R | undefined {
    return this.#latest.get(peer)
  }

  /** Peers that have contributed. */
  get size (): number {
    return this.#latest.size
  }

  /** In the order of the peers' ids (UTF-16 code units), which is the order in which contributions are summed. */
  [Symbol.iterator] (): Iterator<R> {
    return [...this.#latest.values()].sort((a, b) => a.peer < b.peer ? -1 : 1).values()
  }

  /** Names the state: sha-256, in hex, over the JSON of `[peer, round, tokens, id]` of each contribution in order. */
  stateId (): string {
    const canonical = [...this].map(({ peer, round, tokens, id }) => [peer, round, tokens, id])
    return createHash('sha256').update(JSON.stringify(canonical)).digest('hex')
  }
}

/** Whether neither supersedes the other; nothing is the same as nothing. */
export function isSameVersion (one: Versioned | undefined, other: Versioned | undefined): boolean {
  return one?.id === other?.id && one?.round === other?.round && one?.tokens === other?.tokens
}

/** A total order on all that `stateId` names: two records of which neither supersedes the other are the same state. */
export function supersedes (record: Versioned, known: Versioned): boolean {
  if (record.round !== known.round) return record.round > known.round
  if (record.id !== known.id) return record.id > known.id
  return record.tokens > known.tokens
}
