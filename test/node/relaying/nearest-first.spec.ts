import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { isPromising, nearestFirst } from '../../../src/node/relaying/nearest-first.js'

const RELAYED = '/ip4/5.0.0.1/tcp/1/p2p/12D3KooWGZULpG2yd7MgT9dCAjp12Kt92Axwu6WLTGrSBiXVLF7J/p2p-circuit'
const PUBLIC = '/ip4/5.0.0.2/tcp/1'
const FAR = '/ip4/10.254.253.252/tcp/1'
const LOOPBACK = '/ip4/127.0.0.1/tcp/1'

describe('the order in which addresses of a peer are dialled', () => {
  const sorted = (...addresses: string[]): string[] =>
    addresses.map(address => ({ multiaddr: multiaddr(address), isCertified: false })).sort(nearestFirst).map(({ multiaddr }) => multiaddr.toString())

  it('has a relay before networks that this machine is not in, and after all that is direct otherwise', () => {
    expect(sorted(LOOPBACK, FAR, RELAYED, PUBLIC)).to.deep.equal([PUBLIC, RELAYED, FAR, LOOPBACK])
    expect(sorted(PUBLIC, RELAYED, FAR, LOOPBACK)).to.deep.equal([PUBLIC, RELAYED, FAR, LOOPBACK])
  })

  it('has what the peer signed before what others said', () => {
    const [said, signed] = [false, true].map(isCertified => ({ multiaddr: multiaddr(PUBLIC), isCertified }))
    expect([said, signed].sort(nearestFirst)[0]).to.equal(signed)
  })

  it('promises nothing where only addresses of another network are known, or of the peer\'s own machine', () => {
    expect([PUBLIC, RELAYED, FAR, LOOPBACK].map(address => isPromising(multiaddr(address)))).to.deep.equal([true, true, false, false])
  })
})
