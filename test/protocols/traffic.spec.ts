import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { type ByteCounter, type Direction, Traffic } from '../../src/protocols/traffic.js'

describe('traffic', () => {
  let traffic: Traffic
  let peers: PeerId[]

  const COUNTS: Array<[kind: string, direction: Direction, bytes: number, peer: 0 | 1]> =
    [['step', 'sent', 100, 0], ['advert', 'received', 7, 1], ['step', 'received', 20, 0], ['step', 'sent', 3, 1], ['blob', 'sent', 0, 0]]

  before(async () => {
    peers = await Promise.all([1, 2].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
  })
  beforeEach(() => { traffic = new Traffic() })

  function count (counts: typeof COUNTS): void {
    const counter: ByteCounter = traffic
    for (const [kind, direction, bytes, peer] of counts) counter.count(kind, direction, bytes, peers[peer])
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

  it('tells 256 peers apart, and those of before are one; nothing is lost', async () => {
    count(COUNTS)
    const crowd = await Promise.all(Array.from({ length: 255 }, async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519'))))
    for (const peer of crowd) traffic.count('blob', 'sent', 2, peer)
    const [kept, gone] = peers.map(String) // the first of them was counted last
    const { others, ...apart } = traffic.byPeer()
    expect(others).to.deep.equal({ sent: 3, received: 7 })
    expect(apart).to.not.have.property(gone)
    expect(apart[kept]).to.deep.equal({ sent: 100, received: 20 })
    expect(Object.keys(apart)).to.have.lengthOf(256)
  })
})
