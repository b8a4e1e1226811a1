import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { type Direction, Traffic, type TrafficReport } from '../../src/protocols/traffic.js'

describe('traffic', () => {
  let traffic: Traffic
  let peers: PeerId[]

  const [JOB, OTHER] = ['a', 'b'].map(digit => digit.repeat(64))

  const COUNTS: Array<[kind: string, job: string | undefined, direction: Direction, bytes: number, peer: 0 | 1]> =
    [['step', OTHER, 'sent', 100, 0], ['advert', undefined, 'received', 7, 1], ['step', OTHER, 'received', 20, 0], ['step', JOB, 'sent', 3, 1], ['blob', JOB, 'sent', 0, 0]]

  before(async () => {
    peers = await Promise.all([1, 2].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
  })
  beforeEach(() => { traffic = new Traffic() })

  function count (counts: typeof COUNTS): void {
    for (const [kind, job, direction, bytes, peer] of counts) traffic.count({ kind, job, direction, bytes, peer: peers[peer] })
  }

  it('is nothing before anything is counted', () => {
    expect(traffic.report()).to.deep.equal({})
  })

  it('adds up the bytes of all peers, by kind and direction', () => {
    count(COUNTS)
    expect(traffic.report()).to.deep.equal({
      advert: { sent: 0, received: 7 },
      blob: { sent: 0, received: 0 },
      step: { sent: 103, received: 20 }
    })
  })

  it('does not depend on the order of what it was told, and is in alphabetical order', () => {
    count(COUNTS)
    const forwards = JSON.stringify(traffic.report())
    traffic = new Traffic()
    count([...COUNTS].reverse())
    expect(JSON.stringify(traffic.report())).to.equal(forwards)
    expect(Object.keys(traffic.report())).to.deep.equal(['advert', 'blob', 'step'])
  })

  it('reports what was counted until then, and can be asked again', () => {
    count(COUNTS)
    const earlier = traffic.report()
    earlier.step.sent = 0
    count(COUNTS)
    expect(earlier.step).to.deep.equal({ sent: 0, received: 20 })
    expect(traffic.report().step).to.deep.equal({ sent: 206, received: 40 })
  })

  it('adds up the bytes of all kinds, by peer', () => {
    count(COUNTS)
    const [first, second] = peers.map(String)
    expect(traffic.byPeer()).to.deep.equal({ [first]: { sent: 100, received: 20 }, [second]: { sent: 3, received: 7 } })
    expect(Object.keys(traffic.byPeer())).to.deep.equal([first, second].sort())
  })

  it('adds up the bytes of all kinds and peers, by job, what is of none last', () => {
    count(COUNTS)
    expect(traffic.byJob()).to.deep.equal({ [JOB]: { sent: 3, received: 0 }, [OTHER]: { sent: 100, received: 20 }, none: { sent: 0, received: 7 } })
    expect(Object.keys(traffic.byJob())).to.deep.equal([JOB, OTHER, 'none'])
  })

  it('adds up to the same three times', () => {
    count(COUNTS)
    for (const [by, sums] of Object.entries(traffic.accounts())) {
      for (const [direction, sum] of [['sent', 103], ['received', 27]] as const) {
        expect(Object.values(sums as TrafficReport).reduce((total, each) => total + each[direction], 0), by).to.equal(sum)
      }
    }
  })

  it('tells 256 jobs apart, and those of before are one; nothing is lost', () => {
    count(COUNTS) // two jobs, and none; those first
    for (let i = 0; i < 254; i++) traffic.count({ kind: 'step', job: i.toString(16).padStart(64, '0'), direction: 'received', bytes: 2, peer: peers[0] })
    const { others, ...apart } = traffic.byJob()
    expect(others).to.deep.equal({ sent: 0, received: 7 })
    expect(Object.keys(apart)).to.have.lengthOf(256).and.to.include(JOB).and.to.not.include('none')
    expect(apart[OTHER]).to.deep.equal({ sent: 100, received: 20 })
  })

  it('tells 256 peers apart, and those of before are one; nothing is lost', async () => {
    count(COUNTS)
    const crowd = await Promise.all(Array.from({ length: 255 }, async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
    for (const peer of crowd) traffic.count({ kind: 'blob', direction: 'sent', bytes: 2, peer })
    const [kept, gone] = peers.map(String) // the first of them was counted last
    const { others, ...apart } = traffic.byPeer()
    expect(others).to.deep.equal({ sent: 3, received: 7 })
    expect(apart).to.not.have.property(gone)
    expect(apart[kept]).to.deep.equal({ sent: 100, received: 20 })
    expect(Object.keys(apart)).to.have.lengthOf(256)
  })
})
