import { setTimeout as delay } from 'node:timers/promises'
import { pEvent } from 'p-event'
import type { Member } from '../job-members.js'
import type { JoinedJob } from '../jobs.js'
import type { Reporter } from '../reporter.js'
import { Told } from './told.js'

export interface SettleOptions {
  /** Trainers that are expected, this one included. */
  readonly expected: number
  /** How long a member may say nothing before it is not waited for any more, in milliseconds. */
  readonly patience: number
  readonly reporter: Reporter
}

/** Records are told again so often, in milliseconds: who came late, or was cut off, hears them then. */
const ANNOUNCE_INTERVAL = 2_000

/** A member that has not said a word is given so long to say what it holds, in milliseconds: one that settles says it every two seconds. */
const FIRST_WORD = 3 * ANNOUNCE_INTERVAL

/**
 * Ends when the last contribution of every member is here, and all have told that they hold what is held here: what this peer leaves
 * with, the others go on with. A member that says nothing for long is not waited for: what it has contributed so far stays, at every
 * member alike.
 */
export async function settle (joined: JoinedJob, options: SettleOptions, signal: AbortSignal): Promise<void> {
  const told = new Told(joined)
  try {
    await settled(joined, told, options, signal)
  } finally {
    told.stop()
  }
}

async function settled (joined: JoinedJob, told: Told, { expected, patience, reporter }: SettleOptions, signal: AbortSignal): Promise<void> {
  const { members } = joined
  const began = Date.now()
  let [announcedAt, changedAt] = [-Infinity, began]
  const known = new WeakSet<Member>()
  for (;;) {
    signal.throwIfAborted()
    const news = members.held.filter(member => !known.has(member))
    const due = Date.now() - announcedAt >= ANNOUNCE_INTERVAL
    if (news.length > 0) changedAt = Date.now()
    if (due) announcedAt = Date.now()
    for (const member of news) known.add(member)
    await joined.announce((due ? members.held : news).map(({ record }) => record))
    if (due) members.fetchMissing()
    if (members.held.some(member => !known.has(member))) continue // nobody leaves with what it has not told

    const now = Date.now()
    const others = members.heard.filter(({ peer }) => peer !== joined.peer)
    const late = others.filter(({ peer, final }) => !(final && members.holdsLatestOf(peer)))
    const isThere = (peer: string): boolean => now - joined.spokeAt(peer) < patience || now - began < Math.min(FIRST_WORD, patience)
    const apart = joined.topic === undefined || now - changedAt >= patience ? [] : others.filter(({ peer }) => !told.agrees(peer) && isThere(peer))
    const awaited = new Set([...late.filter(({ peer }) => now - members.newsAt(peer) < patience), ...apart].map(({ peer }) => peer))
    const unknown = now - began < patience ? Math.max(0, expected - members.held.length) : 0
    if (awaited.size + unknown === 0) {
      for (const { peer } of late) {
        const { round } = members.held.find(member => member.peer === peer) ?? {}
        reporter.log(`member ${peer} has said nothing for ${patience / 1000} s: going on ${round === undefined ? 'without it' : `with its round ${round}`}`)
      }
      if (members.held.length < expected) reporter.log(`${expected} members were expected, ${members.held.length} came`)
      await joined.announce(members.held.map(({ record }) => record)) // who has not heard all of it would wait for it
      return
    }
    const done = members.held.filter(({ peer }) => !awaited.has(peer)).length
    reporter.progress('waiting for members', done, Math.max(members.held.length + unknown, done + awaited.size))
    await changeOf([members, told], signal)
  }
}

/** Ends with the next change, or when it is time to tell of the records again. */
async function changeOf (targets: readonly EventTarget[], signal: AbortSignal): Promise<void> {
  const over = new AbortController()
  const either = { signal: AbortSignal.any([signal, over.signal]) }
  try {
    await Promise.race([...targets.map(async target => await pEvent(target, 'change', either)), delay(ANNOUNCE_INTERVAL, undefined, either)])
  } finally {
    over.abort()
  }
}
