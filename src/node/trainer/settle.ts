import { setTimeout as delay } from 'node:timers/promises'
import { pEvent } from 'p-event'
import type { JobMembers } from '../job-members.js'
import type { JoinedJob } from '../jobs.js'
import type { Reporter } from '../reporter.js'

export interface SettleOptions {
  /** Trainers that are expected, this one included. */
  readonly expected: number
  /** How long a member may say nothing before it is not waited for any more, in milliseconds. */
  readonly patience: number
  readonly reporter: Reporter
}

/** Records are told again so often, in milliseconds: who came late, or was cut off, hears them then. */
const ANNOUNCE_INTERVAL = 2_000

/**
 * Ends when the last contribution of every member is here. A member that says nothing for long is not waited for: what
 * it has contributed so far stays, at every member alike.
 */
export async function settle (joined: JoinedJob, { expected, patience, reporter }: SettleOptions, signal: AbortSignal): Promise<void> {
  const { members } = joined
  const began = Date.now()
  for (;;) {
    signal.throwIfAborted()
    await joined.announce(members.held.map(({ record }) => record))
    members.fetchMissing()
    const late = members.heard.filter(({ peer, final }) => peer !== joined.peer && !(final && members.holdsLatestOf(peer)))
    const awaited = late.filter(({ peer }) => Date.now() - members.newsAt(peer) < patience)
    const unknown = Date.now() - began < patience ? Math.max(0, expected - members.heard.length) : 0
    if (awaited.length + unknown === 0) {
      for (const { peer, round } of late) reporter.log(`member ${peer} has said nothing for ${patience / 1000} s: going on with its round ${round}`)
      if (members.heard.length < expected) reporter.log(`${expected} members were expected, ${members.heard.length} came`)
      return
    }
    const total = members.heard.length + unknown
    reporter.progress('waiting for members', total - awaited.length - unknown, total)
    await changeOf(members, signal)
  }
}

/** Ends with the next change, or when it is time to tell of the records again. */
async function changeOf (members: JobMembers, signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  const either = { signal: AbortSignal.any([signal, over.signal]) }
  try {
    await Promise.race([pEvent(members, 'change', either), delay(ANNOUNCE_INTERVAL, undefined, either)])
  } finally {
    over.abort()
  }
}
