import type { PeerId } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { pEvent } from 'p-event'
import { Deadline } from '../../protocols/deadline.js'
import { describeDialError } from '../../protocols/dial-error.js'
import { type Check, failed, ok, skipped } from './check.js'
import type { Visit } from './visit.js'

const ASK_FOR_ADDRESS = 'ask for the address that colanet host prints on another machine, and give it with --bootstrap'

/**
 * Whether those that were named can be reached, or others are found where none was.
 *
 * @param patience in milliseconds
 */
export function bootstrapCheck (visit: Visit, addresses: readonly string[], patience: number): Check {
  return {
    name: 'bootstrap',
    unended: addresses.length === 0 ? ASK_FOR_ADDRESS : 'see that the bootstrap peers run, and that a firewall lets connections to them pass',
    look: async signal => {
      if (addresses.length === 0) return await lookForOthers(visit, patience, signal)
      const faults: Array<{ readonly address: string, readonly error: string }> = []
      for (const address of addresses) { // one after the other: libp2p joins dials of one peer
        const error = await dial(visit, address, patience / addresses.length, signal)
        if (error !== undefined) faults.push({ address, error })
      }
      if (faults.length === 0) return ok(`${addresses.length} of ${addresses.length} answer`)
      return failed(
        `${faults.length} of ${addresses.length} do not answer: ${faults.map(({ address, error }) => `${address}: ${error}`).join('; ')}`,
        [...new Set(faults.map(({ error }) => adviceFor(error)))].join('; ')
      )
    }
  }
}

async function lookForOthers ({ mesh }: Visit, timeout: number, signal: AbortSignal): ReturnType<Check['look']> {
  try {
    if (mesh.getPeers().length === 0) await pEvent(mesh, 'peer:connect', { timeout, signal })
    return ok(`no --bootstrap; found on this machine or the local network: ${shortly(mesh.getPeers())}`)
  } catch {
    return failed('no --bootstrap, and no node was found on this machine or the local network', ASK_FOR_ADDRESS)
  }
}

/** @returns what went wrong */
async function dial ({ mesh }: Visit, address: string, patience: number, parent: AbortSignal): Promise<string | undefined> {
  const deadline = new Deadline(patience, address, parent)
  try {
    await mesh.dial(multiaddr(address), { force: true, signal: deadline.signal }) // though it may be connected already
    return undefined
  } catch (error) {
    return deadline.signal.aborted ? `no answer within ${patience / 1000} s` : describeDialError(error)
  } finally {
    deadline.clear()
  }
}

function adviceFor (error: string): string {
  if (/ECONNREFUSED/.test(error)) return 'nothing listens there: see that the node runs, and compare the port with the one that it prints'
  if (/identity|peer id|remote id|expected/i.test(error)) return 'another peer answers there: take the address that the node prints now'
  if (/multiaddr/i.test(error)) return 'give an address such as /ip4/192.168.1.2/tcp/4001/p2p/12D3KooW… with --bootstrap'
  if (/ENETUNREACH|EHOSTUNREACH|EAI_AGAIN|ENOTFOUND/.test(error)) return 'no way leads there: see that this machine is on the network'
  return 'see that the node runs, and that firewalls let TCP connections to its port pass'
}

/** Whether peers can dial this node at the address that it has for them. */
export function reachableCheck (visit: Visit): Check {
  return {
    name: 'reachable',
    unended: 'try again when the peers are less busy',
    look: async signal => {
      const { ports, mesh } = visit
      if (mesh.getPeers().length === 0) return skipped('no peer is there to dial back')
      if (ports.length === 0) return skipped('this node listens nowhere')
      const seen = (await visit.seen(signal)).filter(({ checkup: { from } }) => from !== null)
      if (seen.length === 0) return skipped('no peer dials back')
      const reached = seen.filter(({ checkup: { dialled } }) => dialled.some(({ error }) => error === null))
      const places = [...new Set(seen.map(({ checkup: { from } }) => from))].join(', ')
      const text = `dialled back at ${places}, port ${ports.join(', ')}, by ${reached.length} of ${seen.length} peers`
      if (reached.length > 0) return ok(text)
      const errors = seen.flatMap(({ checkup: { dialled } }) => dialled.flatMap(({ error }) => error ?? []))
      return failed(
        `${text}: ${[...new Set(errors)].join('; ')}`,
        `let TCP port ${ports.join(', ')} of this machine pass the firewall and have the router forward it (a fixed one: --listen /ip4/0.0.0.0/tcp/4001); without, give the address of a relay (colanet relay) with --bootstrap`
      )
    }
  }
}

/**
 * Whether this machine's clock is that of its peers.
 *
 * @param maxSkew in milliseconds
 */
export function clockCheck (visit: Visit, maxSkew: number): Check {
  return {
    name: 'clock',
    unended: 'try again when the peers are less busy',
    look: async signal => {
      const seen = await visit.seen(signal)
      if (seen.length === 0) return skipped('no peer tells its time')
      const offsets = seen.map(({ checkup: { time }, asked, answered }) => beyond(time, asked, answered)).sort((a, b) => a - b)
      const skew = offsets[offsets.length >> 1]
      const text = `${(Math.abs(skew) / 1000).toFixed(1)} s ${skew > 0 ? 'behind' : 'ahead of'} ${seen.length === 1 ? 'a peer\'s' : `the median of ${seen.length} peers'`}`
      if (Math.abs(skew) <= maxSkew) return ok(skew === 0 ? `as that of ${seen.length} ${seen.length === 1 ? 'peer' : 'peers'}` : text)
      return failed(`${text}; ${maxSkew / 1000} s are borne`, 'set the clock, such as by timedatectl set-ntp true; leases of hosts end by it. If it is right, tell the peers that theirs are wrong')
    }
  }
}

/** By how much a peer's time lies outside of that in which it was asked, in milliseconds: more is not known of its clock. */
function beyond (time: number, asked: number, answered: number): number {
  return time > answered ? time - answered : Math.min(0, time - asked)
}

function shortly (peers: readonly PeerId[]): string {
  return peers.map(peer => `…${peer.toString().slice(-8)}`).join(', ')
}
