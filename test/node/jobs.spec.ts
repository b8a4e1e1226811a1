import { setImmediate as turn } from 'node:timers/promises'
import { expect } from 'chai'
import { type JoinedJob, Jobs } from '../../src/node/jobs.js'
import { BlobStore } from '../../src/protocols/blob/index.js'
import { SITES } from '../gl/adaptation.js'
import { soon } from '../protocols/nodes.js'
import { adapterOf, Author, jobOf } from './author.js'

const JOB = jobOf('collaboration')

describe('a job that a trainer takes part in, which was started again', () => {
  let author: Author
  let store: BlobStore
  let joined: JoinedJob
  let logged: unknown[]

  beforeEach(async () => {
    author = await Author.of(JOB)
    store = new BlobStore()
    logged = []
    joined = new Jobs({ identity: author.key, store, log: error => logged.push(error) }).join(JOB, SITES)
  })

  async function until (condition: () => boolean): Promise<void> {
    const signal = soon()
    while (!condition()) {
      signal.throwIfAborted()
      await turn()
    }
  }

  /** What it contributed before, of which others tell. */
  async function before (round: number, seed: number): Promise<void> {
    const { record, bytes } = await author.signs(adapterOf(seed), { round })
    store.put(bytes, 'contribution')
    joined.members.offer(record)
  }

  const ownAdapter = (): unknown => joined.members.held.find(({ peer }) => peer === author.peer)?.adapter

  it('has contributed nothing at first', () => {
    expect(joined.contribution).to.equal(undefined)
  })

  it('signs beyond what it has heard of', async () => {
    await before(4, 1)
    expect(await joined.contribute(adapterOf(2), { tokens: 10, final: true })).to.deep.include({ round: 5, tokens: 10, final: true })
    expect(joined.contribution).to.include({ round: 5 })
    expect(ownAdapter()).to.deep.equal(adapterOf(2))
  })

  it('signs its latest anew when it hears of later rounds afterwards', async () => {
    await joined.contribute(adapterOf(2), { tokens: 10, final: true })
    await before(7, 1)
    await until(() => joined.contribution?.round === 8)
    await until(() => joined.members.holdsLatestOf(author.peer))
    expect(joined.contribution).to.deep.include({ peer: author.peer, tokens: 10, final: true })
    expect(ownAdapter()).to.deep.equal(adapterOf(2))
    expect(logged).to.deep.equal([])
  })

  it('signs its latest anew when it hears of the same round with another auxiliary that would stand', async () => {
    const { manifest: { id } } = await joined.contribute(adapterOf(2), { tokens: 10, final: false })
    const ids = await Promise.all(Array.from({ length: 8 }, async (_, seed) => ({ seed, id: (await author.signs(adapterOf(10 + seed), { round: 1 })).record.manifest.id })))
    const less = ids.find(other => other.id < id)
    const greater = ids.find(other => other.id > id)
    if (less !== undefined) await before(1, 10 + less.seed)
    await turn()
    expect(joined.contribution?.round).to.equal(1)
    await before(1, 10 + greater!.seed)
    await until(() => joined.contribution?.round === 2)
    await until(() => joined.members.holdsLatestOf(author.peer))
    expect(ownAdapter()).to.deep.equal(adapterOf(2))
  })

  it('ends with its latest, whatever it hears of while it contributes', async () => {
    const contributed = [joined.contribute(adapterOf(2), { tokens: 10, final: false }), before(3, 1), joined.contribute(adapterOf(3), { tokens: 20, final: false }), before(6, 4), joined.contribute(adapterOf(5), { tokens: 30, final: true })]
    await Promise.all(contributed)
    await until(() => joined.members.holdsLatestOf(author.peer) && joined.members.heardOf(author.peer)?.round === joined.contribution?.round)
    expect(joined.contribution).to.include({ tokens: 30, final: true })
    expect(joined.contribution?.round).to.be.above(6)
    expect(ownAdapter()).to.deep.equal(adapterOf(5))
  })
})
