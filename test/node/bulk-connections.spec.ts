import type { Connection, Logger, Stream } from '@libp2p/interface'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { BulkConnections } from '../../src/node/bulk-connections.js'
import type { Mesh } from '../../src/node/mesh.js'
import { Nodes, soon } from '../protocols/nodes.js'

const PROTOCOL = '/colanet/test/1.0.0'

const log = (() => { /* not looked at */ }) as unknown as Logger

describe('bulk connections', () => {
  const nodes = new Nodes()
  let holder: Mesh
  let asker: Mesh

  beforeEach(async () => {
    holder = await nodes.add()
    asker = await nodes.add() // has dialled it
    for (const node of [holder, asker]) await node.handle(PROTOCOL, () => { /* streams stay open */ })
  })
  afterEach(async () => { await nodes.stop() })

  function connectionOf (from: Mesh, to: Mesh, stream: Stream): Connection {
    const found = from.getConnections(to.peerId).find(({ streams }) => streams.includes(stream))
    if (found === undefined) throw new Error('the stream is on none of the connections')
    return found
  }

  /** Ends when the second connection may be used. */
  async function openSecond (bulk: BulkConnections): Promise<[Connection, Connection]> {
    const [first] = asker.getConnections(holder.peerId)
    const opened = pEvent(asker, 'connection:open', { signal: soon() })
    const stream = await bulk.dialProtocol(holder.peerId, PROTOCOL)
    expect(connectionOf(asker, holder, stream)).to.equal(first)
    stream.abort(new Error('it was only to begin with'))
    await opened
    await new Promise(resolve => setImmediate(resolve))
    const second = asker.getConnections(holder.peerId).at(1)
    if (second === undefined) throw new Error('there is no second connection')
    return [first, second]
  }

  it('have what is large on a second connection, once it is there, and all else on the first', async () => {
    const bulk = new BulkConnections(asker, { log })
    const [first, second] = await openSecond(bulk)
    for (let i = 0; i < 3; i++) {
      expect(connectionOf(asker, holder, await bulk.dialProtocol(holder.peerId, PROTOCOL)).id).to.equal(second.id)
      const control = await asker.dialProtocol(holder.peerId, PROTOCOL)
      expect(connectionOf(asker, holder, control).id).to.equal(first.id)
      control.abort(new Error('protocols have one stream to a peer'))
    }
    expect(asker.getConnections(holder.peerId)).to.have.length(2)
  })

  it('are none to a peer that has dialled this node', async () => {
    const bulk = new BulkConnections(holder, { log })
    await bulk.dialProtocol(asker.peerId, PROTOCOL)
    await bulk.dialProtocol(asker.peerId, PROTOCOL)
    expect(holder.getConnections(asker.peerId)).to.have.length(1)
  })

  it('are closed when nothing comes over them, and opened again', async () => {
    const bulk = new BulkConnections(asker, { log, idle: 100 })
    const [first, second] = await openSecond(bulk)
    await pEvent(second, 'close', { signal: soon() })
    expect(first.status).to.equal('open')
    const [, third] = await openSecond(bulk)
    expect(third.id).to.not.equal(second.id)
  })

  it('end with the one that they stand beside', async () => {
    const bulk = new BulkConnections(asker, { log })
    const [first, second] = await openSecond(bulk)
    const ended = pEvent(second, 'close', { signal: soon() })
    await first.close()
    await ended
  })

  it('are left for the first where no stream comes about on them', async () => {
    const bulk = new BulkConnections(asker, { log })
    const [first, second] = await openSecond(bulk)
    second.newStream = async () => await Promise.reject(new Error('no'))
    const stream = await bulk.dialProtocol(holder.peerId, PROTOCOL)
    expect(connectionOf(asker, holder, stream)).to.equal(first)
    expect(second.status).to.equal('open') // what is under way on it goes on
  })

  it('are done without where they cannot be opened, and are not tried again at once', async () => {
    let dials = 0
    const bulk = new BulkConnections({
      getConnections: peer => asker.getConnections(peer),
      dialProtocol: async (...asked) => await asker.dialProtocol(...asked),
      dial: async () => {
        dials++
        return await Promise.reject(new Error('no'))
      }
    }, { log })
    for (let i = 0; i < 3; i++) {
      const stream = await bulk.dialProtocol(holder.peerId, PROTOCOL)
      stream.abort(new Error('it was only to see whether it opens'))
    }
    expect(dials).to.equal(1)
  })
})
