import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import type { EncodedPart } from '../../../src/node/host/encoded-part.js'
import { Lendings } from '../../../src/node/host/lendings.js'
import { LentBlobs } from '../../../src/node/host/lent-blobs.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import { MAX_AHEAD } from '../../../src/protocols/step/index.js'
import { manifestOf } from '../../../src/tensor/chunks.js'

describe('what a host lends', () => {
  let lendings: Lendings
  let now: number
  /** What is held, by name. */
  let held: Set<string>

  beforeEach(() => {
    now = 0
    lendings = new Lendings(() => now)
    held = new Set()
  })

  function lend (step: number, { trainer = 'ann', job = 'a', oldest, waiting = 0, name = `${trainer}/${job}/${step}` }: { trainer?: string, job?: string, oldest?: number, waiting?: number, name?: string } = {}): void {
    const request = { job, step, ...(oldest !== undefined && { oldest }) }
    lendings.release(trainer, request)
    held.add(name)
    lendings.add(trainer, request, { waiting, end: () => { held.delete(name) } })
  }

  it('is one step of a trainer that does not say what it wants still', () => {
    for (const step of [0, 1, 2, 7]) {
      lend(step)
      expect([...held]).to.deep.equal([`ann/a/${step}`])
    }
    lendings.release('ann', { job: 'a', step: 0 }) // an evaluation
    expect(held.size).to.equal(0)
  })

  it('is what the trainer says that it wants, in whichever order its steps come', () => {
    lend(1, { oldest: 0 })
    lend(0, { oldest: 0 })
    lend(2, { oldest: 0 })
    expect([...held]).to.have.members(['ann/a/0', 'ann/a/1', 'ann/a/2'])
    lend(3, { oldest: 2 })
    expect([...held]).to.have.members(['ann/a/2', 'ann/a/3'])
  })

  it('is of a step that is asked for again the last try', () => {
    lend(1, { oldest: 0, name: 'first try' })
    lend(2, { oldest: 0 })
    lend(1, { oldest: 0, name: 'second try' })
    expect([...held]).to.have.members(['second try', 'ann/a/2'])
    lendings.add('ann', { job: 'a', step: 1 }, { waiting: 0, end: () => { held.add('third try is over') } }) // while that one was run
    expect(held.has('second try')).to.equal(false)
    lendings.release('ann', { job: 'a', step: 9 })
    expect([...held]).to.deep.equal(['third try is over'])
  })

  it('waits for a trainer as far as it is of other jobs, or comes before the step', () => {
    for (const step of [1, 2, 3]) lend(step, { oldest: 0, waiting: 10 ** step })
    lend(1, { job: 'b', waiting: 1 })
    lend(1, { trainer: 'bob', waiting: 1e9 })
    expect(lendings.waitingBefore('ann', { job: 'a', step: 3 })).to.equal(111)
    expect(lendings.waitingBefore('ann', { job: 'a', step: 1 })).to.equal(1)
    expect(lendings.waitingBefore('ann', { job: 'c', step: 1 })).to.equal(1111)
    expect(lendings.waitingBefore('eve', { job: 'a', step: 3 })).to.equal(0)
  })

  it('is let go of after ten minutes in which its trainer said nothing of it, whoever comes then', () => {
    lend(1)
    now += 599_999
    lend(1, { trainer: 'bob' })
    expect(held.size).to.equal(2)
    now += 1
    lend(2, { trainer: 'bob', oldest: 0 })
    expect([...held]).to.have.members(['bob/a/1', 'bob/a/2'])
  })

  it('is no more than a trainer may have under way, whatever it says', () => {
    for (let step = 0; step < 100; step++) lend(step, { oldest: 0 })
    expect([...held]).to.have.members(Array.from({ length: MAX_AHEAD + 1 }, (_, i) => `ann/a/${99 - i}`))
  })

  it('is another trainer\'s, or another job\'s, whatever one says', () => {
    lend(5)
    lend(5, { trainer: 'bob' })
    lend(5, { job: 'b' })
    lend(6, { oldest: 6 })
    expect([...held]).to.have.members(['bob/a/5', 'ann/b/5', 'ann/a/6'])
  })
})

describe('parts that are lent', () => {
  const released: string[] = []
  let ann: PeerId
  let bob: PeerId
  before(async () => { [ann, bob] = await Promise.all([1, 2].map(async () => peerIdFromPrivateKey(await generateKeyPair('Ed25519')))) })

  const part = (name: string, bytes: number[]): EncodedPart => {
    const own = Uint8Array.from(bytes)
    return { sites: ['h'], bytes: own, manifest: manifestOf(own), release: () => released.push(name) }
  }
  beforeEach(() => { released.length = 0 })

  it('are held once where several steps have the same, until the last lets go of them', () => {
    const store = new BlobStore()
    const blobs = new LentBlobs(store)
    const [first, second, other] = [part('first', [1, 2]), part('second', [1, 2]), part('other', [3])]
    for (const each of [first, second, other]) blobs.add(each, ann)
    expect(released).to.deep.equal(['second'])
    blobs.delete(first.manifest.id, ann)
    expect(store.get(second.manifest.id)?.bytes).to.equal(first.bytes)
    blobs.delete(second.manifest.id, ann)
    expect(store.get(second.manifest.id)).to.equal(undefined)
    expect(released).to.deep.equal(['second', 'first'])
    blobs.delete(second.manifest.id, ann)
    expect(released).to.have.lengthOf(2)
    blobs.delete(other.manifest.id, ann)
    expect(released).to.deep.equal(['second', 'first', 'other'])
  })

  it('are given to those whose steps have them, and to nobody else', () => {
    const store = new BlobStore()
    const blobs = new LentBlobs(store)
    const [{ manifest: { id } }] = [part('first', [1, 2])]
    const mayPull = (): PeerId[] => [ann, bob].filter(peer => store.get(id)?.to?.some(other => other.equals(peer)))
    blobs.add(part('first', [1, 2]), ann)
    expect(mayPull()).to.deep.equal([ann])
    blobs.add(part('second', [1, 2]), bob)
    expect(mayPull()).to.deep.equal([ann, bob])
    blobs.delete(id, ann)
    blobs.delete(id, ann)
    expect(mayPull()).to.deep.equal([bob])
    blobs.delete(id, bob)
    expect(store.get(id)).to.equal(undefined)
  })

  it('are there again where the store had no room for them', () => {
    const store = new BlobStore(2)
    const blobs = new LentBlobs(store)
    const [first, large] = [part('first', [1]), part('large', [2, 3])]
    blobs.add(first, ann)
    blobs.add(large, ann)
    expect(store.get(first.manifest.id)).to.equal(undefined)
    blobs.add(part('again', [1]), ann)
    expect(store.get(first.manifest.id)?.bytes).to.equal(first.bytes)
  })
})
