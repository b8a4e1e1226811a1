import { randomBytes } from 'node:crypto'
import { generateKeyPair, publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { PrivateKey } from '@libp2p/interface'
import { peerIdFromMultihash, peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { decode } from 'cborg'
import { identity } from 'multiformats/hashes/identity'
import type { Mesh } from '../../src/node/mesh.js'
import {
  contribution, CONTRIBUTION_PROTOCOL, type ContributionRecord, type Contributions, MAX_RECORDS, recordSchema, signRecord, verifyRecord
} from '../../src/protocols/contribution/index.js'
import { decodeMessage, encodeMessage } from '../../src/protocols/message.js'
import { Traffic } from '../../src/protocols/traffic.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import { answerWith, endOf, Nodes, soon } from './nodes.js'
import { failureOf } from '../support/failure.js'

const JOB = 'a'.repeat(64)
const OTHER_JOB = 'b'.repeat(64)
const manifest = manifestOf(randomBytes(10))

async function recordOf (key: PrivateKey, fields: Partial<ContributionRecord> = {}): Promise<ContributionRecord> {
  return await signRecord(key, { job: JOB, round: 3, tokens: 512, final: false, manifest, ...fields })
}

describe('contribution record', () => {
  let key: PrivateKey
  let record: ContributionRecord

  before(async () => {
    key = await generateKeyPair('Ed25519')
    record = await recordOf(key)
  })

  it('is of the peer whose key signed it', async () => {
    expect(record.peer).to.equal(peerIdFromPrivateKey(key).toString())
    expect(await verifyRecord(record)).to.equal(true)
  })

  it('verifies after it has crossed the wire', async () => {
    expect(await verifyRecord(decodeMessage(recordSchema, encodeMessage(record)))).to.equal(true)
  })

  describe('does not verify with', () => {
    const alterations: Record<string, (record: ContributionRecord) => Partial<ContributionRecord> | Promise<Partial<ContributionRecord>>> = {
      'another job': () => ({ job: OTHER_JOB }),
      'another peer': async () => ({ peer: peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toString() }),
      'another round': () => ({ round: 4 }),
      'more tokens': () => ({ tokens: 513 }),
      'another end': () => ({ final: true }),
      'another manifest': () => ({ manifest: manifestOf(randomBytes(10)) }),
      'another signature': ({ signature }) => ({ signature: signature.map((byte, i) => i === 0 ? byte ^ 1 : byte) }),
      'no signature': () => ({ signature: new Uint8Array() }),
      'a peer that is no peer': () => ({ peer: 'surprise, surprise' }),
      'a peer whose id does not carry its key': () => ({ peer: 'QmcgpsyWgH8Y8ajJz1Cu72KnS5uo2Aa2LpzU7kinSupNKC' })
    }
    for (const [how, alter] of Object.entries(alterations)) {
      it(how, async () => {
        expect(await verifyRecord({ ...record, ...await alter(record) })).to.equal(false)
      })
    }

    it('the signature of one that says something else', async () => {
      const { signature } = await recordOf(key, { round: 4 })
      expect(await verifyRecord({ ...record, signature })).to.equal(false)
    })
  })

  it('verifies under one name of its peer alone, so that no peer counts twice', async () => {
    const peer = peerIdFromPrivateKey(key)
    const verifies = async (name: string): Promise<boolean> => {
      const { job, round, tokens, final } = record
      const fields = encodeMessage({ job, peer: name, round, tokens, final, blob: manifest.id })
      return await verifyRecord({ ...record, peer: name, signature: await key.sign(Buffer.concat([Buffer.from('colanet/contribution/1:'), fields])) })
    }
    const unknownField = Uint8Array.of(...publicKeyToProtobuf(key.publicKey), 0x18, 1)
    const twin = peerIdFromMultihash(identity.digest(unknownField))
    expect(twin.publicKey?.equals(key.publicKey)).to.equal(true)
    expect(await verifies(peer.toString())).to.equal(true)
    expect(await verifies(peer.toCID().toString())).to.equal(false)
    expect(await verifies(twin.toString())).to.equal(false)
  })

  it('has a manifest that cannot be altered, as its id covers all of it', () => {
    for (const lie of [{ size: 9 }, { chunkSize: 5 }, { chunks: [randomBytes(32)] }]) {
      expect(() => decodeMessage(recordSchema, encodeMessage({ ...record, manifest: { ...manifest, ...lie } }))).to.throw()
        .with.property('name', 'ProtocolError')
    }
  })
})

describe('contribution sync', () => {
  const nodes = new Nodes()
  let asker: Mesh
  let offered: ContributionRecord[]
  let contributions: Contributions

  beforeEach(async () => {
    asker = await nodes.add()
    offered = []
    contributions = contribution({ store: { records: () => [], offer: record => offered.push(record) } })(asker)
  })
  afterEach(async () => { await nodes.stop() })

  /** A member that holds these records, of whatever job. */
  async function member (records: ContributionRecord[], traffic = new Traffic()): Promise<Mesh> {
    const node = await nodes.add()
    const store = { records: (job: string) => records.filter(record => record.job === job), offer: () => { /* asks nobody */ } }
    await contribution({ store, counter: traffic })(node).start()
    return node
  }

  /** A member that answers whatever it likes. */
  async function liar (answer: object): Promise<Mesh> {
    const node = await nodes.add()
    await answerWith(node, CONTRIBUTION_PROTOCOL, () => [answer])
    return node
  }

  async function recordsOf (count: number, fields: Partial<ContributionRecord> = {}): Promise<ContributionRecord[]> {
    return await Promise.all(Array.from({ length: count }, async (_, round) => await recordOf(nodes.keys[0], { round, ...fields })))
  }

  for (const count of [0, 1, 5]) {
    it(`gives what is held of the job: ${count} records`, async () => {
      const records = await recordsOf(count)
      const other = await member([...records, ...await recordsOf(2, { job: OTHER_JOB })])
      expect(await contributions.sync(other.peerId, JOB, { signal: soon() })).to.equal(count)
      expect(offered.map(encodeMessage)).to.deep.equal(records.map(encodeMessage))
    })
  }

  it('gives them of whichever member signed them', async () => {
    const other = await member([])
    const records = await Promise.all(nodes.keys.map(async key => await recordOf(key)))
    const holder = await member(records)
    expect(await contributions.sync(holder.peerId, JOB, { signal: soon() })).to.equal(2)
    expect(offered.map(({ peer }) => peer)).to.deep.equal([asker, other].map(({ peerId }) => peerId.toString()))
  })

  it('counts the bytes of both ways, as of the job', async () => {
    const traffic = new Traffic()
    const [record] = await recordsOf(1)
    const other = await member([record], traffic)
    await contributions.sync(other.peerId, JOB, { signal: soon() })
    const counted = { received: encodeMessage({ job: JOB }).byteLength, sent: encodeMessage({ records: [record] }).byteLength }
    expect(traffic.report()).to.deep.equal({ contribution: counted })
    expect(traffic.byJob()).to.deep.equal({ [JOB]: counted })
  })

  it(`gives no more than ${MAX_RECORDS} at once`, async () => {
    const [record] = await recordsOf(1)
    const other = await member(new Array<ContributionRecord>(MAX_RECORDS + 5).fill(record))
    expect(await contributions.sync(other.peerId, JOB, { signal: soon() })).to.equal(MAX_RECORDS)
  })

  it('gives as many as there is room for', async () => {
    const long = await recordsOf(200, { manifest: manifestOf(randomBytes(1024), 1) }) // 34 kB each
    const other = await member(long)
    expect(await contributions.sync(other.peerId, JOB, { signal: soon() })).to.be.within(100, 199)
  })

  it('drops those that are forged, and those of another job', async () => {
    const [right, altered, late] = await recordsOf(3)
    const [foreign] = await recordsOf(1, { job: OTHER_JOB })
    const other = await liar({ records: [{ ...altered, tokens: 10 ** 9 }, right, foreign, { ...foreign, job: JOB }, late] })
    expect(await contributions.sync(other.peerId, JOB, { signal: soon() })).to.equal(2)
    expect(offered.map(({ round }) => round)).to.deep.equal([right.round, late.round])
  })

  describe('takes nothing from a member that answers', () => {
    const answers: Record<string, (record: ContributionRecord) => object> = {
      'something else': () => ({ surprise: true }),
      'with more records than are accepted': record => ({ records: new Array(MAX_RECORDS + 1).fill(record) }),
      'with a record that has a key too many': record => ({ records: [record, { ...record, surprise: true }] }),
      'with a manifest that contradicts itself': record => ({ records: [record, { ...record, manifest: { ...manifest, size: 11 } }] })
    }
    for (const [how, answer] of Object.entries(answers)) {
      it(how, async () => {
        const other = await liar(answer((await recordsOf(1))[0]))
        expect((await failureOf(contributions.sync(other.peerId, JOB, { signal: soon() }))).name).to.equal('ProtocolError')
        expect(offered).to.deep.equal([])
      })
    }

    it('with more bytes than there is room for', async () => {
      const other = await liar({ records: [], noise: new Uint8Array(5_000_000) })
      await failureOf(contributions.sync(other.peerId, JOB, { signal: soon() }))
      expect(offered).to.deep.equal([])
    })
  })

  it('ends with its signal when the member says nothing', async () => {
    const other = await nodes.add()
    const impatient = new AbortController()
    await answerWith(other, CONTRIBUTION_PROTOCOL, async function * () {
      impatient.abort(new Error('enough'))
      yield await new Promise<object>(() => { /* for ever */ })
    })
    expect((await failureOf(contributions.sync(other.peerId, JOB, { signal: impatient.signal }))).message).to.equal('enough')
  })

  it('answers the next one after an asker that does not follow the protocol', async () => {
    const records = await recordsOf(1)
    const other = await member(records)
    for (const request of [encodeMessage({ job: 'short' }), Buffer.from('surprise'), randomBytes(300)]) {
      expect(await endOf(asker, other, CONTRIBUTION_PROTOCOL, request)).to.equal('reset')
    }
    expect(await contributions.sync(other.peerId, JOB, { signal: soon() })).to.equal(1)
  })

  it('is not answered any more once stopped', async () => {
    const node = await nodes.add()
    const other = contribution({ store: { records: () => [], offer: () => { /* none */ } } })(node)
    await other.start()
    await contributions.sync(node.peerId, JOB, { signal: soon() })
    await other.stop()
    expect((await failureOf(contributions.sync(node.peerId, JOB, { signal: soon() }))).name).to.equal('UnsupportedProtocolError')
  })

  it('asks for one job by its id', async () => {
    const asked: unknown[] = []
    const other = await nodes.add()
    await answerWith(other, CONTRIBUTION_PROTOCOL, request => {
      asked.push(decode(request))
      return [{ records: [] }]
    })
    await contributions.sync(other.peerId, JOB, { signal: soon() })
    expect(asked).to.deep.equal([{ job: JOB }])
  })
})
