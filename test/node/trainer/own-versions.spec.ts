import { expect } from 'chai'
import { type ContributedVersion, OwnVersions } from '../../../src/node/trainer/own-versions.js'
import type { StepReply } from '../../../src/protocols/step/index.js'
import { adapterOf, Author, jobOf, type Signed } from '../author.js'

describe('a trainer\'s own versions', () => {
  let author: Author
  let other: Author
  let versions: OwnVersions
  let added: ContributedVersion[]

  beforeEach(async () => {
    [author, other] = await Author.several(2, jobOf('alone'))
    versions = new OwnVersions(author.peer, 3)
    added = []
    for (let fits = 0; fits < 5; fits++) {
      const adapter = adapterOf(fits)
      const { record } = await author.signs(adapter, { round: fits + 1 })
      added.push({ fits, tokens: 10 * fits, adapter, record })
      versions.add(added[fits])
    }
  })

  const replyOf = (fields: Partial<StepReply>): StepReply => ({ loss: 1, tokens: 1, version: 'f'.repeat(64), members: [], timings: { queued: 0, pass: 0 }, shared: 1, ...fields })
  const idOf = ({ record }: Pick<Signed, 'record'>): string => record.manifest.id

  it('are the latest, by the fits after which they were contributed', () => {
    expect([0, 1, 2, 3, 4, 5].map(fits => versions.after(fits))).to.deep.equal([undefined, undefined, ...added.slice(2), undefined])
    expect(versions.between(3, 4)).to.deep.equal([added[3]])
    expect(versions.between(0, 9)).to.deep.equal(added.slice(2))
  })

  it('are known in what a host says it ran, alone by the state and else among its members', async () => {
    const stranger = await other.signs(adapterOf(4), { round: 9 })
    for (const version of added.slice(2)) {
      expect(versions.madeWith(replyOf({ version: idOf(version) }), 'alone', undefined)).to.equal(version)
      expect(versions.madeWith(replyOf({ members: [stranger.record, version.record] }), 'collaboration', undefined)).to.equal(version)
    }
  })

  it('are those that were sent, where several are equal', async () => {
    const { record } = await author.signs(added[3].adapter, { round: 6 })
    const again = { ...added[3], fits: 5, record }
    versions.add(again)
    for (const sent of [added[3], again]) {
      expect(versions.madeWith(replyOf({ version: idOf(sent) }), 'alone', sent)).to.equal(sent)
      expect(versions.madeWith(replyOf({ members: [sent.record] }), 'collaboration', sent)).to.equal(sent)
    }
    expect(versions.madeWith(replyOf({ version: idOf(added[4]) }), 'alone', added[3])).to.equal(added[4])
  })

  it('are none that is too old, or that is another\'s, or none at all', async () => {
    const stranger = await other.signs(adapterOf(3), { round: 4 })
    const unknown = await author.signs(adapterOf(9), { round: 4 })
    for (const version of [idOf(added[1]), idOf(unknown), null]) {
      expect(() => versions.madeWith(replyOf({ version }), 'alone', undefined)).to.throw().with.property('name', 'ProtocolError')
    }
    for (const members of [[added[1].record], [unknown.record], [stranger.record], []]) {
      expect(() => versions.madeWith(replyOf({ members }), 'collaboration', undefined)).to.throw().with.property('name', 'ProtocolError')
    }
  })
})
