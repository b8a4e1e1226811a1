import '../../src/node/promise-with-resolvers.js'
import { expect } from 'chai'
import { sayingWhatFor } from '../../src/node/waiting.js'
import { failureOf } from '../support/failure.js'

describe('what takes long', () => {
  it('is told once, and then gives what it gives', async () => {
    const said: string[] = []
    const { promise, resolve } = Promise.withResolvers<number>()
    const log = (line: string): void => {
      said.push(line)
      resolve(5)
    }
    expect(await sayingWhatFor('a host', log, promise)).to.equal(5)
    expect(said).to.deep.equal(['a host'])
  })

  it('is not told where it does not, or fails', async () => {
    const log = (): void => { throw new Error('it was told') }
    expect(await sayingWhatFor('a host', log, Promise.resolve(5))).to.equal(5)
    expect((await failureOf(sayingWhatFor('a host', log, Promise.reject(new TypeError('no'))))).name).to.equal('TypeError')
  })
})
