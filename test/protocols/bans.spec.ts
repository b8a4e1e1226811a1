import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { type Ban, Bans } from '../../src/protocols/bans.js'

async function peer (): Promise<PeerId> {
  return peerIdFromPrivateKey(await generateKeyPair('Ed25519'))
}

describe('bans', () => {
  it('take three breaches within a minute, and the reason is that of the last', async () => {
    let now = 0
    const bans = new Bans(() => now)
    const told: Ban[] = []
    bans.addEventListener('ban', ({ detail }) => told.push(detail))
    const [bad, good] = [await peer(), await peer()]
    bans.breach(bad, 'first')
    bans.breach(good, 'once')
    bans.breach(bad, 'second')
    expect(bans.list()).to.deep.equal([])
    now = 59_999
    bans.breach(bad, 'third')
    bans.breach(bad, 'fourth')
    expect(bans.list()).to.deep.equal([{ peer: bad, reason: 'third', until: 659_999 }])
    expect(told).to.deep.equal(bans.list())
    expect([bans.has(bad), bans.has(good)]).to.deep.equal([true, false])
  })

  it('forget breaches after a minute, and end after ten', async () => {
    let now = 0
    const bans = new Bans(() => now)
    const one = await peer()
    for (; now < 600_000; now += 30_000) bans.breach(one, 'now and then')
    expect(bans.has(one)).to.equal(false)
    for (let i = 0; i < 3; i++) bans.breach(one, 'often')
    expect(bans.gater().denyDialPeer?.(one)).to.equal(true)
    now += 600_000
    expect(bans.has(one)).to.equal(false)
    expect(bans.list()).to.deep.equal([])
    expect(bans.gater().denyInboundEncryptedConnection?.(one, undefined as never)).to.equal(false)
  })

  it('take six exchanges that stand still, each begun when the one before was given up', async () => {
    let now = 0
    const bans = new Bans(() => now)
    const [bad, asleep, seldom] = [await peer(), await peer(), await peer()]
    for (let i = 0; i < 6; i++) {
      const began = now + 1
      for (let j = 0; j < 64; j++) bans.standstill(asleep, 'all at once', 0)
      now += 60_000
      expect(bans.has(bad)).to.equal(false)
      bans.standstill(bad, 'one after the other', began)
    }
    expect(bans.list().map(({ peer, reason }) => [peer, reason])).to.deep.equal([[bad, 'one after the other']])
    for (let i = 0; i < 20; i++) {
      const began = now
      now += 3 * 60_000
      bans.standstill(seldom, 'now and then', began)
    }
    expect([bans.has(asleep), bans.has(seldom)]).to.deep.equal([false, false])
  })

  it('remember no more than so many peers', async () => {
    const bans = new Bans()
    const one = await peer()
    for (let i = 0; i < 2; i++) bans.breach(one, 'long ago')
    for (let i = 0; i < 4096; i++) bans.breach({ toString: () => String(i) } as PeerId, 'made up')
    bans.breach(one, 'again')
    expect(bans.has(one)).to.equal(false)
  })
})
