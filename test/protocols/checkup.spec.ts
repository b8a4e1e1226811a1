import { expect } from 'chai'
import { checkup, CHECKUP_PROTOCOL, type Checkups, MAX_PORTS } from '../../src/protocols/checkup/index.js'
import { encodeMessage } from '../../src/protocols/message.js'
import type { Mesh } from '../../src/node/mesh.js'
import { failureOf } from '../support/failure.js'
import { answerWith, endOf, freePort, Nodes, soon } from './nodes.js'

/** An hour, in milliseconds. */
const HOUR = 3_600_000

describe('a checkup', () => {
  const nodes = new Nodes()
  let [asker, answerer]: Mesh[] = []
  let asking: Checkups

  beforeEach(async () => {
    answerer = await nodes.add()
    asker = await nodes.add()
    await checkup({ now: () => Date.now() - HOUR })(answerer).start()
    asking = checkup()(asker)
  })
  afterEach(async () => { await nodes.stop() })

  const portOf = (node: Mesh): number => Number(node.getMultiaddrs()[0].getComponents().find(({ name }) => name === 'tcp')?.value)

  it('tells from where the asker comes, and that it is reached at its port', async () => {
    const port = portOf(asker)
    const { from, dialled } = await asking.ask(answerer.peerId, [port], { signal: soon() })
    expect(from).to.equal('127.0.0.1')
    expect(dialled).to.deep.equal([{ port, error: null }])
  })

  it('tells that it is not reached at a port where it does not listen, nor where another peer does', async () => {
    const other = await nodes.add()
    const port = await freePort()
    const { dialled } = await asking.ask(answerer.peerId, [port, portOf(other)], { signal: soon() })
    expect(dialled.map(({ port }) => port)).to.deep.equal([port, portOf(other)])
    for (const { error } of dialled) expect(error).to.be.a('string').and.not.to.equal('')
  })

  it('leaves one connection to the asker, as there was', async () => {
    await asking.ask(answerer.peerId, [portOf(asker)], { signal: soon() })
    await new Promise(resolve => setImmediate(resolve))
    expect(answerer.getConnections(asker.peerId).filter(({ status }) => status === 'open')).to.have.length(1)
  })

  it('tells the clock of the answerer', async () => {
    const before = Date.now()
    const { time } = await asking.ask(answerer.peerId, [], { signal: soon() })
    expect(time).to.be.within(before - HOUR, Date.now() - HOUR)
  })

  it('tries no more ports than it may', async () => {
    const ports = Array.from({ length: MAX_PORTS + 1 }, (_, i) => i + 1)
    const { dialled } = await asking.ask(answerer.peerId, ports, { signal: soon() })
    expect(dialled).to.have.length(MAX_PORTS)
  })

  it('is refused where the question is malformed', async () => {
    for (const request of [{}, { ports: [0] }, { ports: [65_536] }, { ports: ['22'] }, { ports: Array(MAX_PORTS + 1).fill(1) }, { ports: [], address: '/ip4/1.1.1.1' }]) {
      expect(await endOf(asker, answerer, CHECKUP_PROTOCOL, encodeMessage(request))).to.equal('reset')
    }
  })

  it('refuses an answer that is none', async () => {
    await answerer.unhandle(CHECKUP_PROTOCOL)
    await answerWith(answerer, CHECKUP_PROTOCOL, () => [{ time: -1, from: null, dialled: [] }])
    expect((await failureOf(asking.ask(answerer.peerId, [], { signal: soon() }))).name).to.equal('ProtocolError')
  })
})
