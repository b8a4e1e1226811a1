import { generateKeyPair } from '@libp2p/crypto/keys'
import { TypedEventEmitter } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { expect } from 'chai'
import { type JoinedJob, Jobs } from '../../../src/node/jobs.js'
import { Told } from '../../../src/node/trainer/told.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import type { JobTopic, JobTopicEvents } from '../../../src/protocols/topic/index.js'
import { SITES } from '../../gl/adaptation.js'
import { soon } from '../../protocols/nodes.js'
import { adapterOf, Author, jobOf, type Signed } from '../author.js'

const JOB = jobOf('collaboration')

describe('what members have told that they hold', () => {
  let joined: JoinedJob
  let topic: TypedEventEmitter<JobTopicEvents>
  let told: Told
  let changes: number
  let [teller, other]: Author[] = []
  let held: Signed[]

  beforeEach(async () => {
    const store = new BlobStore()
    joined = new Jobs({ identity: await generateKeyPair('Ed25519'), store, log: () => {} }).join(JOB, SITES)
    ;[teller, other] = await Author.several(2, JOB)
    held = [await teller.signs(adapterOf(1), { round: 2 }), await other.signs(adapterOf(2), { round: 3 })]
    for (const { record, bytes } of held) {
      store.put(bytes, 'contribution')
      await joined.members.fetch(record, soon())
    }
    topic = new TypedEventEmitter()
    told = new Told({ members: joined.members, topic: topic as unknown as JobTopic })
    changes = 0
    told.addEventListener('change', () => changes++)
  })

  function tells (author: Author, ...signed: Signed[]): void {
    for (const { record } of signed) topic.safeDispatchEvent('contribution', { detail: { type: 'contribution', record, from: peerIdFromString(author.peer) } })
  }

  for (const order of ['its own first', 'its own last']) {
    it(`is the same as here when they have told of all of it, ${order}`, () => {
      const [first, last] = order === 'its own first' ? held : [...held].reverse()
      expect(told.agrees(teller.peer)).to.equal(false)
      tells(teller, first)
      expect(told.agrees(teller.peer)).to.equal(false)
      tells(teller, last)
      expect(told.agrees(teller.peer)).to.equal(true)
      expect(told.agrees(other.peer), 'each for itself').to.equal(false)
      tells(teller, ...held)
      expect(changes, 'what is told again is no news').to.equal(2)
    })
  }

  it('is another where they hold another round than is held here', async () => {
    tells(teller, held[0], await other.signs(adapterOf(3), { round: 2 }))
    expect(told.agrees(teller.peer)).to.equal(false)
    tells(teller, held[1])
    expect(told.agrees(teller.peer)).to.equal(true)
    await joined.contribute(adapterOf(5), { tokens: 1, final: true })
    expect(told.agrees(teller.peer), 'it does not know of that yet').to.equal(false)
  })

  it('is nothing any more of one that was started again, but what it tells then', async () => {
    tells(teller, ...held)
    const again = await teller.signs(adapterOf(4), { round: 3 })
    tells(teller, again, held[0])
    expect(told.agrees(teller.peer)).to.equal(false)
    tells(teller, held[1])
    expect(told.agrees(teller.peer)).to.equal(true)
  })

  it('is nothing of who is no member', async () => {
    const stranger = await Author.of(JOB)
    tells(stranger, ...held)
    expect(told.agrees(stranger.peer)).to.equal(false)
    expect(changes).to.equal(0)
  })

  it('is not listened to any more when it is stopped', () => {
    told.stop()
    tells(teller, ...held)
    expect(told.agrees(teller.peer)).to.equal(false)
  })
})
