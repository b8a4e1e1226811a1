import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { Admission } from '../../src/protocols/admission.js'
import { RateLimit } from '../../src/protocols/rate-limit.js'

describe('the rate of a peer', () => {
  let [one, other]: PeerId[] = []
  let now = 0
  let breaches: string[] = []
  const listener = { breach: (peer: PeerId, what: string) => breaches.push(`${peer.equals(one) ? 'one' : 'other'}: ${what}`) }

  before(async () => {
    [one, other] = await Promise.all([1, 2].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
  })
  beforeEach(() => {
    now = 0
    breaches = []
  })

  function limit (perSecond: number): RateLimit {
    return new RateLimit({ perSecond, what: 'things', breaches: listener, now: () => now })
  }

  /** How many of so many it was allowed. */
  function taken (rate: RateLimit, peer: PeerId, count: number): number {
    return Array.from({ length: count }, () => rate.take(peer)).filter(allowed => allowed).length
  }

  it('is ten seconds\' share at once, and then a share a second', () => {
    const rate = limit(5)
    expect(taken(rate, one, 70)).to.equal(50)
    now += 1_000
    expect(taken(rate, one, 70)).to.equal(5)
    now += 3_600_000
    expect(taken(rate, one, 70)).to.equal(50)
    expect(breaches).to.deep.equal([])
  })

  it('is its own affair', () => {
    const rate = limit(5)
    taken(rate, one, 1_000)
    expect(rate.take(other, 50)).to.equal(true)
    expect(breaches.every(breach => breach.startsWith('one'))).to.equal(true)
  })

  it('is a breach only where it is several times what is allowed', () => {
    const perMinute = (times: number): number => {
      const rate = limit(10)
      breaches = []
      for (let second = 0; second < 600; second++) {
        taken(rate, one, 10 * times)
        now += 1_000
      }
      return breaches.length / 10
    }
    expect(perMinute(1)).to.equal(0)
    expect(perMinute(2)).to.be.below(2)
    expect(perMinute(3)).to.be.below(3)
    expect(perMinute(8)).to.be.above(3)
    expect(breaches[0]).to.equal('one: flooding: far more than 10 things a second')
  })

  it('does not add up what was refused over bursts that are far apart', () => {
    const rate = limit(5)
    for (let burst = 0; burst < 100; burst++) {
      taken(rate, one, 100)
      now += 60_000
    }
    expect(breaches).to.deep.equal([])
  })

  it('is of exchanges also so many at a time, until they are left', () => {
    const admission = new Admission({ maxStreams: 2, perSecond: 100, kind: 'test', breaches: listener })
    expect([1, 2, 3].map(() => admission.enter(one))).to.deep.equal([true, true, false])
    expect(admission.enter(other)).to.equal(true)
    admission.leave(one)
    expect([admission.enter(one), admission.enter(one)]).to.deep.equal([true, false])
  })
})
