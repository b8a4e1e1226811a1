import { expect } from 'chai'
import type { EncodedPart } from '../../../src/node/host/encoded-part.js'
import { PartStream } from '../../../src/node/host/part-stream.js'
import { manifestOf } from '../../../src/tensor/chunks.js'
import { failureOf } from '../../support/failure.js'

function part (name: string): EncodedPart {
  const bytes = Buffer.from(name)
  return { sites: [name], bytes, manifest: manifestOf(bytes) }
}

const [a, b, c] = ['a', 'b', 'c'].map(name => part(name))

describe('a stream of parts', () => {
  let stream: PartStream

  beforeEach(() => { stream = new PartStream() })

  async function readAll (): Promise<EncodedPart[]> {
    const read: EncodedPart[] = []
    for await (const part of stream.parts) read.push(part)
    return read
  }

  it('gives in their order parts that came before it is read', async () => {
    for (const part of [a, b, c]) stream.push(part)
    stream.end()
    expect(await readAll()).to.have.ordered.members([a, b, c])
  })

  it('gives in their order parts that come while they are waited for', async () => {
    const iterator = stream.parts[Symbol.asyncIterator]()
    const waiting = [iterator.next(), iterator.next(), iterator.next()]
    for (const part of [a, b, c]) stream.push(part)
    expect((await Promise.all(waiting)).map(({ value }) => value as EncodedPart)).to.have.ordered.members([a, b, c])
  })

  it('gives those that came before first, then those that come', async () => {
    stream.push(a)
    const iterator = stream.parts[Symbol.asyncIterator]()
    const early = await iterator.next()
    stream.push(b)
    stream.push(c)
    expect([early, await iterator.next(), await iterator.next()].map(({ value }) => value as EncodedPart)).to.have.ordered.members([a, b, c])
  })

  it('ends without a part', async () => {
    stream.end()
    expect(await readAll()).to.deep.equal([])
  })

  it('ends for a reader that waits', async () => {
    const all = readAll()
    stream.push(a)
    stream.end()
    expect(await all).to.have.ordered.members([a])
  })

  it('takes nothing after its end', async () => {
    stream.push(a)
    stream.end()
    stream.push(b)
    stream.fail(new Error('late'))
    stream.end()
    expect(await readAll()).to.have.ordered.members([a])
  })

  it('throws what it fails with to a reader that waits', async () => {
    const failure = failureOf(readAll())
    const error = new Error('the thread is gone')
    stream.fail(error)
    expect(await failure).to.equal(error)
  })

  it('throws what it failed with to a reader that comes later', async () => {
    const error = new Error('the thread is gone')
    stream.push(a)
    stream.fail(error)
    expect(await failureOf(readAll())).to.equal(error)
  })

  it('throws what it failed with first', async () => {
    const error = new Error('the thread is gone')
    stream.fail(error)
    stream.fail(new Error('and again'))
    stream.end()
    expect(await failureOf(readAll())).to.equal(error)
  })

  const late: Record<string, (stream: PartStream) => void> = {
    'comes more': stream => { stream.push(b) },
    'it ends': stream => { stream.end() },
    'it fails': stream => { stream.fail(new Error('late')) }
  }
  for (const [what, then] of Object.entries(late)) {
    it(`lets a reader leave early, though ${what} afterwards`, async () => {
      const read: EncodedPart[] = []
      stream.push(a)
      stream.push(b)
      for await (const part of stream.parts) {
        read.push(part)
        if (part === a) break
      }
      expect(read).to.have.ordered.members([a])
      expect(() => { then(stream) }).to.not.throw()
    })
  }
})
