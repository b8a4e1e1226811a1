import { expect } from 'chai'
import { retrying, TransientError } from '../../src/hub/retrying.js'
import { failureOf } from '../support/failure.js'

describe('retrying', () => {
  const { signal } = new AbortController()

  it('does the work again until it is done, and tells each failure', async () => {
    const lines: string[] = []
    let tries = 0
    const result = await retrying(async () => {
      if (++tries < 3) throw new TransientError(`failure ${tries}`)
      return await Promise.resolve('done')
    }, { delays: [0, 0], signal, log: line => lines.push(line) })
    expect(result).to.equal('done')
    expect(lines).to.deep.equal(['failure 1; trying again in 0 s', 'failure 2; trying again in 0 s'])
  })

  it('gives up after the last try, saying why', async () => {
    let tries = 0
    const error = await failureOf(retrying(async () => await Promise.reject(new TransientError(`failure ${++tries}`)), { delays: [0, 0, 0], signal, log: () => {} }))
    expect(error.name).to.equal('DownloadError')
    expect(error.message).to.include('failure 4')
    expect(tries).to.equal(4)
  })

  it('counts anew after each that came forward', async () => {
    let tries = 0
    await retrying(async forward => {
      if (++tries % 2 === 0) forward()
      if (tries < 8) return await Promise.reject(new TransientError('failure'))
    }, { delays: [0, 0], signal, log: () => {} })
    expect(tries).to.equal(8)
  })

  it('does nothing again that would fail again', async () => {
    let tries = 0
    const error = await failureOf(retrying(async () => await Promise.reject(new RangeError(`failure ${++tries}`)), { delays: [0], signal, log: () => {} }))
    expect([error.name, tries]).to.deep.equal(['RangeError', 1])
  })

  it('waits as long as a server asks, and ends that wait with the signal', async () => {
    const controller = new AbortController()
    const lines: string[] = []
    const failed = failureOf(retrying(async () => await Promise.reject(new TransientError('busy', { wait: 60_000 })), {
      delays: [0],
      signal: controller.signal,
      log: line => {
        lines.push(line)
        setImmediate(() => controller.abort())
      }
    }))
    expect((await failed).name).to.equal('AbortError')
    expect(lines).to.deep.equal(['busy; trying again in 60 s'])
  })
})
