import { join } from 'node:path'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { ColaNode, type ColaNodeInit } from '../../../src/node/node.js'
import { isRelayed } from '../../../src/node/relaying/relayed.js'
import { LOOPBACK, soon } from '../../protocols/nodes.js'
import { temporaryFolder } from '../../support/temporary-folder.js'

/** At which a relay that is dialled from 127.0.0.1 does not find the one who dials it. */
const ELSEWHERE = ['/ip4/127.0.0.2/tcp/0']

describe('a node that knows a relay', () => {
  const folder = temporaryFolder()
  const running: ColaNode[] = []
  afterEach(async () => { await Promise.all(running.splice(0).map(async node => { await node.stop() })) })

  async function start (name: string, init: Omit<ColaNodeInit, 'folder'> = {}): Promise<ColaNode> {
    const node = await ColaNode.start({ folder: join(folder(), name), listen: LOOPBACK, localFolder: false, ...init })
    running.push(node)
    return node
  }

  async function relay (reservations = 2, listen: readonly string[] = LOOPBACK): Promise<ColaNode> {
    return await start('relay', { listen, relay: { reservations, bytes: 1 << 17, duration: 60_000 } })
  }

  const addressesOf = ({ mesh }: ColaNode): string[] => mesh.getMultiaddrs().map(String)
  const relayedOf = ({ mesh }: ColaNode): string[] => mesh.getMultiaddrs().filter(isRelayed).map(String)

  /** Ends when a node is reached through relays at so many addresses. */
  async function reached ({ mesh }: ColaNode, ways: number): Promise<void> {
    while (mesh.getMultiaddrs().filter(isRelayed).length !== ways) await pEvent(mesh, 'self:peer:update', { signal: soon() })
  }

  it('takes a slot there where the relay cannot dial it back, and others reach it through that', async () => {
    const between = await relay()
    const hidden = await start('hidden', { listen: ELSEWHERE, bootstrap: addressesOf(between) })
    await reached(hidden, 1)
    expect(relayedOf(hidden)).to.deep.equal([`${addressesOf(between)[0]}/p2p-circuit/p2p/${hidden.mesh.peerId.toString()}`])
    const other = await start('other')
    const connection = await other.mesh.dial(hidden.mesh.getMultiaddrs().filter(isRelayed), { signal: soon() })
    expect(connection.remotePeer.equals(hidden.mesh.peerId)).to.equal(true)
    expect(connection.limits?.bytes).to.be.at.most(1 << 17)
  })

  it('takes none where it can be dialled', async () => {
    const between = await relay()
    const hidden = await start('hidden', { listen: ELSEWHERE, bootstrap: addressesOf(between) })
    const open = await start('open', { bootstrap: addressesOf(between) })
    await reached(hidden, 1)
    await open.checkups.ask(between.mesh.peerId, [], { signal: soon() })
    expect(relayedOf(open)).to.deep.equal([])
    expect([...between.mesh.services.relay!.reservations.keys()].map(String)).to.deep.equal([hidden.mesh.peerId.toString()])
  })

  it('takes a slot again at a relay that was restarted', async () => {
    const before = await relay()
    const hidden = await start('hidden', { listen: ELSEWHERE, bootstrap: addressesOf(before) })
    await reached(hidden, 1)
    const listen = addressesOf(before)
    await before.stop()
    running.splice(running.indexOf(before), 1)
    await reached(hidden, 0)
    await relay(2, listen)
    await reached(hidden, 1)
  })

  it('opens no stream over the relayed connection, but a direct one for it', async () => {
    const between = await relay()
    const hidden = await start('hidden', { listen: ELSEWHERE, bootstrap: addressesOf(between) })
    await reached(hidden, 1)
    const other = await start('other')
    await other.mesh.dial(hidden.mesh.getMultiaddrs().filter(isRelayed), { signal: soon() })
    await other.checkups.ask(hidden.mesh.peerId, [], { signal: soon() })
    expect(other.mesh.getConnections(hidden.mesh.peerId).some(({ limits }) => limits === undefined)).to.equal(true)
  })

  it('looks there for a peer of which it knows no address', async () => {
    const between = await relay()
    const hidden = await start('hidden', { listen: ELSEWHERE, bootstrap: addressesOf(between) })
    await reached(hidden, 1)
    const other = await start('other', { bootstrap: addressesOf(between) })
    if (other.mesh.services.slots.waysTo(hidden.mesh.peerId).length === 0) await pEvent(other.mesh, 'peer:identify', { signal: soon() })
    const { time } = await other.checkups.ask(hidden.mesh.peerId, [], { signal: soon() })
    expect(time).to.be.closeTo(Date.now(), 60_000)
  })
})
