import { setTimeout as delay } from 'node:timers/promises'
import type { Libp2p, Logger, PeerId } from '@libp2p/interface'
import { Deadline } from '../protocols/deadline.js'
import { pauseAfter } from '../protocols/pauses.js'
import { enter, entered, type RendezvousComponents, withdraw } from '../protocols/rendezvous.js'

export interface MeetingInit {
  readonly mesh: RendezvousComponents & Pick<Libp2p, 'dial'>
  /** Id of the job. */
  readonly job: string
  /** Members that this node is connected to. */
  readonly members: () => readonly PeerId[]
  /** Gets what a member that was met knows of the job. */
  readonly sync: (peer: PeerId, signal: AbortSignal) => Promise<unknown>
  readonly log: Logger
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number
}

/** So many members are enough to be connected to: gossipsub passes messages on to as many. */
const ENOUGH_MEMBERS = 6

/** So many of the members that are connected anyway are asked what they know. */
const ASKED = 2

/** How long peers are given to tell what they listen to, in milliseconds. */
const FIRST_WORDS = 1_000

/** Until it is entered, and between searches, in milliseconds. */
const PAUSES = { first: 1_000, longest: 120_000 }

/**
 * The more members are in sight, the less each hurries to enter and to look for others: so many milliseconds a member at most, and in
 * all, so that many that begin together do not ask the DHT all at once.
 */
const CALM = { perMember: 2_000, most: 60_000 }

/** It is entered again so often, in milliseconds: those near the job's id come and go. */
const ENTER_INTERVAL = 10 * 60_000

/** What one member may take to be dialled and asked, in milliseconds. */
const MEET_TIMEOUT = 30_000

/**
 * Has the members of a job meet: in a large mesh they may have neither a host nor any peer in common, and gossip is passed on by members
 * alone. Each is in the DHT under the job's id, connects to others that are, until it has enough of them, and hears what they know.
 *
 * @throws the signal's reason when it ends
 */
export async function meetMembers (init: MeetingInit, signal: AbortSignal): Promise<void> {
  const { members, random = Math.random } = init
  await delay(FIRST_WORDS, undefined, { signal, ref: false })
  const met = new Set<string>()
  for (const peer of members().slice(0, ASKED)) await hear(init, peer, met, signal)
  await delay(random() * Math.min(CALM.most, members().length * CALM.perMember), undefined, { signal, ref: false })
  await Promise.race([stayEntered(init, signal), meet(init, met, signal)])
}

async function stayEntered ({ mesh, job, log }: MeetingInit, signal: AbortSignal): Promise<void> {
  try {
    for (let tries = 1; ; tries++) {
      const isEntered = await enter(mesh, job, signal).catch((error: unknown) => {
        log('%s', error)
        return false
      })
      if (isEntered) tries = 0
      await delay(isEntered ? ENTER_INTERVAL : pauseAfter(tries, PAUSES), undefined, { signal, ref: false })
    }
  } finally {
    await withdraw(mesh, job).catch((error: unknown) => log('%s', error)) // a node may live longer than its part in the job
  }
}

async function meet (init: MeetingInit, met: Set<string>, signal: AbortSignal): Promise<void> {
  const { mesh, job, members, log } = init
  const isNeeded = (): boolean => members().length < ENOUGH_MEMBERS
  for await (const peer of entered(mesh, job, { pauses: PAUSES, log, isNeeded }, signal)) {
    const isConnected = members().some(member => member.equals(peer))
    if (isConnected ? !met.has(peer.toString()) : isNeeded()) await hear(init, peer, met, signal)
  }
}

/** What a member knows, which is dialled where it is not connected. */
async function hear ({ mesh, sync, log }: MeetingInit, peer: PeerId, met: Set<string>, signal: AbortSignal): Promise<void> {
  const deadline = new Deadline(MEET_TIMEOUT, `member ${peer.toString()}`, signal)
  try {
    await mesh.dial(peer, { signal: deadline.signal })
    await sync(peer, deadline.signal)
    met.add(peer.toString())
  } catch (error) {
    signal.throwIfAborted()
    log('%p: %s', peer, error)
  } finally {
    deadline.clear()
  }
}
