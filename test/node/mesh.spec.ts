import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { createMesh, type Mesh, type MeshInit } from '../../src/node/mesh.js'
import { LOOPBACK, soon } from '../protocols/nodes.js'
import { failureOf } from '../support/failure.js'

describe('a node of the mesh', () => {
  const running: Mesh[] = []
  afterEach(async () => { await Promise.all(running.splice(0).map(async node => { await node.stop() })) })

  async function start (init: Partial<MeshInit> = {}): Promise<Mesh> {
    const node = await createMesh({ identity: await generateKeyPair('Ed25519'), listen: LOOPBACK, localFolder: false, ...init })
    running.push(node)
    return node
  }

  const addressesOf = (node: Mesh): string[] => node.getMultiaddrs().map(String)

  /** Ends when a node is connected to another, or is not any more. */
  async function until (node: Mesh, event: 'peer:connect' | 'peer:disconnect', other: { readonly peerId: PeerId }): Promise<void> {
    const wanted = event === 'peer:connect'
    if ((node.getConnections(other.peerId).length > 0) === wanted) return
    await pEvent<'peer:connect', CustomEvent<PeerId>>(node, event as 'peer:connect', { filter: ({ detail }) => detail.equals(other.peerId), signal: soon() })
  }

  it('is who its identity says, on a port that it chose, and knows nobody', async () => {
    const identity = await generateKeyPair('Ed25519')
    const node = await start({ identity })
    expect(node.peerId.publicKey?.equals(identity.publicKey)).to.equal(true)
    expect(addressesOf(node)).to.have.length(1)
    expect(addressesOf(node)[0]).to.match(/^\/ip4\/127\.0\.0\.1\/tcp\/[1-9]\d*\/p2p\//)
    expect(node.getPeers()).to.deep.equal([])
  })

  describe('refuses what is not a multiaddr,', () => {
    for (const address of ['localhost:4001', '127.0.0.1', '/ip4/127.0.0.1/tcp', '/ip4/300.0.0.1/tcp/1', '/surprise/1']) {
      for (const option of ['listen', 'bootstrap'] as const) {
        it(`${option} ${address}`, async () => {
          const failure = await failureOf(start({ [option]: [...LOOPBACK, address] }))
          expect(failure.name).to.equal('InvalidOptionError')
          expect(failure.message).to.include(address)
        })
      }
    }
  })

  it('is connected to all of its bootstrap peers', async () => {
    const peers = [await start(), await start()]
    const node = await start({ bootstrap: peers.flatMap(addressesOf) })
    for (const peer of peers) {
      await until(node, 'peer:connect', peer)
      await until(peer, 'peer:connect', node)
    }
  })

  it('starts though none of its bootstrap peers is there, and is connected to one that comes later', async () => {
    const identity = await generateKeyPair('Ed25519')
    const before = await start({ identity })
    const [listen] = [addressesOf(before)]
    await before.stop()
    const node = await start({ bootstrap: listen })
    await until(node, 'peer:connect', await start({ identity, listen }))
  })

  it('says once that a bootstrap peer does not answer, and when it does', async () => {
    const identity = await generateKeyPair('Ed25519')
    const before = await start({ identity })
    const listen = addressesOf(before)
    await before.stop()
    const said: string[] = []
    const lines = new EventTarget()
    const node = await start({
      bootstrap: [...listen, ...listen],
      log: line => {
        said.push(line)
        lines.dispatchEvent(new Event('line'))
      }
    })
    await pEvent(lines, 'line', { signal: soon() })
    const answered = pEvent(lines, 'line', { signal: soon() })
    await until(node, 'peer:connect', await start({ identity, listen }))
    await answered
    expect(said).to.have.length(2)
    expect(said[0]).to.match(/does not answer \(.*ECONNREFUSED.*see that a node runs there, or what colanet doctor --bootstrap says/)
    expect(said[1]).to.match(/answers now/)
  })

  it('is connected again to a bootstrap peer that was restarted', async () => {
    const identity = await generateKeyPair('Ed25519')
    const before = await start({ identity })
    const listen = addressesOf(before)
    const node = await start({ bootstrap: listen })
    for (let restarts = 0; restarts < 2; restarts++) {
      const peer = restarts === 0 ? before : running[running.length - 1]
      await until(node, 'peer:connect', peer)
      await peer.stop()
      await until(node, 'peer:disconnect', peer)
      await start({ identity, listen })
    }
    await until(node, 'peer:connect', before)
  })

  it('is connected to a bootstrap peer that it knows only by its address', async () => {
    const peer = await start()
    const node = await start({ bootstrap: addressesOf(peer).map(address => address.replace(/\/p2p\/.*/, '')) })
    await until(node, 'peer:connect', peer)
  })

  it('can have itself among its bootstrap peers', async () => {
    const identity = await generateKeyPair('Ed25519')
    const before = await start({ identity })
    const listen = addressesOf(before)
    await before.stop()
    const other = await start()
    const node = await start({ identity, listen, bootstrap: [...listen, ...addressesOf(other)] })
    await until(node, 'peer:connect', other)
    expect(node.getPeers().map(String)).to.deep.equal([other.peerId.toString()])
  })
})
