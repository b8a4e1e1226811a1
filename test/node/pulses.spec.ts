import { setTimeout as delay } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { Pulses } from '../../src/node/pulses.js'
import { Traffic } from '../../src/protocols/traffic.js'
import { failureOf } from '../support/failure.js'

const BEAT = 10
/** Longer than any silence that is put up with. */
const LONG = 30 * BEAT

describe('pulses of peers', () => {
  let peer: PeerId
  let pings: number
  const never = new AbortController().signal

  beforeEach(async () => {
    peer = peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
    pings = 0
  })

  /** Of peers that answer pings as they are told to. */
  function pulsesOf (answer: (signal: AbortSignal) => Promise<unknown>): { pulses: Pulses, traffic: Traffic } {
    const traffic = new Traffic()
    const ping = async (_: PeerId, { signal }: { signal: AbortSignal }): Promise<unknown> => {
      pings++
      return await answer(signal)
    }
    return { pulses: new Pulses({ ping, counter: traffic, beat: BEAT }), traffic }
  }

  const silent = async (signal: AbortSignal): Promise<unknown> => await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  const ends = silent
  const abortedAfterLong = async (signal: AbortSignal): Promise<boolean> => {
    await delay(LONG)
    return signal.aborted
  }

  it('end what waits for a peer that answers nothing, and all that wait for it', async () => {
    const { pulses } = pulsesOf(silent)
    const failures = await Promise.all([1, 2].map(async () => await failureOf(pulses.during(peer, never, ends))))
    for (const { name, message } of failures) {
      expect(name).to.equal('ProtocolError')
      expect(message).to.match(/has given no sign of life for 0\.07 s/)
    }
    expect(pings).to.equal(1) // one ping waits, and no more are sent
  })

  it('end what waits for a peer whose pings fail at once', async () => {
    const { pulses } = pulsesOf(() => Promise.reject(new Error('no way there')))
    expect((await failureOf(pulses.during(peer, never, ends))).message).to.match(/no sign of life/)
    expect(pings).to.be.above(1)
  })

  it('let wait for as long as it takes where pings are answered', async () => {
    const { pulses } = pulsesOf(async () => await delay(1))
    expect(await pulses.during(peer, never, abortedAfterLong)).to.equal(false)
  })

  it('let wait where other messages come, though pings wait behind them; what is sent is no sign', async () => {
    const { pulses, traffic } = pulsesOf(silent)
    const messages = setInterval(() => pulses.count({ kind: 'blob', direction: 'received', bytes: 7, peer }), BEAT)
    expect(await pulses.during(peer, never, abortedAfterLong)).to.equal(false)
    clearInterval(messages)
    expect(traffic.report().blob.received % 7).to.equal(0)

    const sending = setInterval(() => pulses.count({ kind: 'blob', direction: 'sent', bytes: 7, peer }), BEAT)
    expect((await failureOf(pulses.during(peer, never, ends))).name).to.equal('ProtocolError')
    clearInterval(sending)
  })

  it('count time in which this process was busy as one beat', async () => {
    const { pulses } = pulsesOf(async () => await delay(1))
    expect(await pulses.during(peer, never, async signal => {
      await delay(2 * BEAT)
      const until = Date.now() + LONG
      while (Date.now() < until);
      await delay(2 * BEAT)
      return signal.aborted
    })).to.equal(false)
  })

  it('are felt anew of a peer that was silent once', async () => {
    let answer = silent
    const { pulses } = pulsesOf(async signal => await answer(signal))
    await failureOf(pulses.during(peer, never, ends))
    answer = async () => await delay(1)
    expect(await pulses.during(peer, never, abortedAfterLong)).to.equal(false)
  })

  it('end with the other signal, and ask nobody when nothing waits', async () => {
    const { pulses } = pulsesOf(async () => await delay(1))
    const given = new AbortController()
    const failure = failureOf(pulses.during(peer, given.signal, ends))
    given.abort(new Error('enough'))
    expect((await failure).message).to.equal('enough')
    const asked = pings
    await delay(5 * BEAT)
    expect(pings).to.equal(asked)
  })
})
