import { getEventListeners } from 'node:events'
import { expect } from 'chai'
import { ProtocolError } from '../../src/errors.js'
import { converse, type Dialer } from '../../src/protocols/frames.js'
import { failureOf } from '../support/failure.js'
import { Nodes, soon } from './nodes.js'

const PROTOCOL = '/colanet/test/1.0.0'

/** More than fits in what two nodes keep unread. */
const LONG = new Uint8Array(32 * 1024 * 1024)

describe('frames', () => {
  const nodes = new Nodes()
  afterEach(async () => { await nodes.stop() })

  it('fail with an error where the stream is reset while they are written', async () => {
    const [asked, asker] = [await nodes.add(), await nodes.add()]
    await asked.handle(PROTOCOL, stream => {
      stream.addEventListener('message', () => { stream.abort(new ProtocolError('enough')) }, { once: true })
    })
    const init = { maxBytes: 1, timeout: 60_000, kind: 'test', counter: undefined, signal: soon() }
    const error = await failureOf(converse(asker, asked.peerId, PROTOCOL, init, async frames => { await frames.write(LONG) }))
    expect(error).to.be.instanceOf(Error)
    expect(error.message).to.be.a('string').that.is.not.equal('')
  })

  it('leave nothing behind on the signal, however many are written', async () => {
    const [asked, asker] = [await nodes.add(), await nodes.add()]
    await asked.handle(PROTOCOL, () => { /* what comes is dropped */ })
    let signal: AbortSignal | null | undefined
    const dialer: Dialer = {
      dialProtocol: async (peer, protocols, options) => {
        signal = options?.signal
        return await asker.dialProtocol(peer, protocols, options)
      }
    }
    const init = { maxBytes: 1, timeout: 60_000, kind: 'test', counter: undefined, signal: soon() }
    const listeners = await converse(dialer, asked.peerId, PROTOCOL, init, async frames => {
      const counts: number[] = []
      for (let i = 0; i < 20; i++) {
        await frames.write(LONG.subarray(0, 1024 * 1024)) // most wait for room
        counts.push(getEventListeners(signal!, 'abort').length)
      }
      return counts
    })
    expect(listeners).to.deep.equal(listeners.map(() => 0))
  })
})
