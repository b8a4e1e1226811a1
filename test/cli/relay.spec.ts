import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { multiaddr } from '@multiformats/multiaddr'
import { expect } from 'chai'
import { createMesh } from '../../src/node/mesh.js'
import { saidBy } from '../integration/scene.js'
import { LOOPBACK, soon } from '../protocols/nodes.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { startCli, type Started } from './run-cli.js'

describe('colanet relay', () => {
  const folder = temporaryFolder()

  function start (): Started {
    return startCli(['relay', '--folder', join(folder(), 'relay'), '--listen', LOOPBACK[0], '--no-mdns', '--local-discovery', 'none', '--max-reservations', '3', '--max-data', '16', '--json'])
  }

  async function addressOf (relay: Started): Promise<string> {
    return (await saidBy(relay, /--bootstrap \S+/)).split(' ')[1]
  }

  it('prints the address to give with --bootstrap, and says at its end what passed', async () => {
    const relay = start()
    const address = await addressOf(relay)
    const node = await createMesh({ identity: await generateKeyPair('Ed25519'), listen: [], localFolder: false })
    try {
      const { remotePeer } = await node.dial(multiaddr(address), { signal: soon() })
      relay.process.kill('SIGINT')
      const { code, stdout } = await relay.ended
      const { peer, addresses, reservations, limits } = JSON.parse(stdout) as Record<string, unknown>
      expect({ code, peer, addresses, reservations }).to.deep.equal({ code: 130, peer: remotePeer.toString(), addresses: [address], reservations: 0 })
      expect(limits).to.deep.equal({ reservations: 3, bytes: 16 * 1024, duration: 120_000 })
    } finally {
      await node.stop()
    }
  })

  it('is the same peer when it is started again', async () => {
    const peers = []
    for (let i = 0; i < 2; i++) {
      const relay = start()
      peers.push((await addressOf(relay)).split('/p2p/')[1])
      relay.process.kill('SIGINT')
      await relay.ended
    }
    expect(peers[1]).to.equal(peers[0])
  })
})
