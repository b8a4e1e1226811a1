import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { startBackend } from '../../src/engine/backend.js'
import type { Job } from '../../src/job.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import type { ColaNode } from '../../src/node/node.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import type { TrainContext } from '../../src/node/trainer/place.js'
import { trainInMesh, trainLocally } from '../../src/node/trainer/train.js'
import { BLOB_PROTOCOL } from '../../src/protocols/blob/index.js'
import { ADVERT_TOPIC } from '../../src/protocols/advert/constants.js'
import { CONTRIBUTION_PROTOCOL, type ContributionRecord, signRecord } from '../../src/protocols/contribution/index.js'
import { encodeMessage } from '../../src/protocols/message.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import { listening, scoreOf } from '../protocols/gossipers.js'
import { answerWith, endOf, soon } from '../protocols/nodes.js'
import { failureOf } from '../support/failure.js'
import { FIXTURES } from '../support/fixtures.js'
import { hear, Nodes } from './liar.js'

const MODEL = join(FIXTURES, 'gpt2-odd')
const SITES = [{ name: 'h', inFeatures: 2, outFeatures: 2 }]
const JOB: Job = {
  name: 'test', model: 'a'.repeat(64), sites: ['h'], auxiliary: { rank: 1, alpha: 1 }, kinds: ['low-rank'], mode: 'alone', merge: 'during', interval: 1, seed: 0
}

describe('a peer that does what no honest one does', function () {
  this.timeout(60_000)
  const nodes = new Nodes(MODEL)
  let model: ModelThread

  before(async () => {
    await startBackend()
    model = await ModelThread.open({ folder: MODEL, log: () => {} })
  })
  after(async () => { await model.dispose() })
  afterEach(async () => { await nodes.stop() })

  async function connected (): Promise<[ColaNode, ColaNode]> {
    const [honest, hostile] = [await nodes.add(), await nodes.add()]
    await hostile.mesh.dial(honest.mesh.getMultiaddrs(), { signal: soon() })
    return [honest, hostile]
  }

  async function expectBanned (honest: ColaNode, hostile: ColaNode, reason: RegExp): Promise<void> {
    expect(honest.bans.list().map(({ peer }) => peer.toString())).to.deep.equal([hostile.mesh.peerId.toString()])
    expect(honest.bans.list()[0].reason).to.match(reason)
    await failureOf(honest.mesh.dial(hostile.mesh.getMultiaddrs(), { signal: soon() }))
    const again = await hostile.mesh.dial(honest.mesh.getMultiaddrs(), { signal: soon() }).catch(() => undefined)
    if (again !== undefined && again.status !== 'closed') await pEvent(again, 'close', { signal: soon() })
    expect(honest.mesh.getConnections(hostile.mesh.peerId)).to.deep.equal([])
  }

  async function gone (honest: ColaNode, hostile: ColaNode): Promise<void> {
    if (honest.mesh.getConnections(hostile.mesh.peerId).length === 0) return
    await pEvent<'peer:disconnect', CustomEvent<PeerId>>(honest.mesh, 'peer:disconnect', { filter: ({ detail }) => detail.equals(hostile.mesh.peerId), signal: soon() })
  }

  it('is banned for frames that are too long, while a trainer beside it notices nothing', async () => {
    const options = parseTrainOptions({ model: MODEL, batch: join(MODEL, 'batch.safetensors'), patience: 15, steps: 4, rank: 2, lr: 0.01, schedule: 'constant', seed: 5 })
    const contextOf = (folder: string): TrainContext => ({ folder, engine: 'test', reporter: { progress: () => {}, log: () => {} }, signal: soon() })
    const { losses, deltaHash } = await trainLocally(options, contextOf(await nodes.folder()))
    const [trainer, hostile] = [await nodes.add(), await nodes.add()]
    const host = await nodes.honest(model)
    await hear(trainer, host)
    await hostile.mesh.dial(host.mesh.getMultiaddrs(), { signal: soon() })
    const ended = trainInMesh(trainer, options, contextOf(trainer.folder))
    for (let i = 0; i < 3; i++) await endOf(hostile.mesh, host.mesh, CONTRIBUTION_PROTOCOL, randomBytes(1_000)).catch(() => {})
    await gone(host, hostile)
    await expectBanned(host, hostile, /contribution of 256 bytes/)
    const report = await ended
    expect({ losses: report.losses, deltaHash: report.deltaHash }).to.deep.equal({ losses, deltaHash })
    expect(host.bans.has(trainer.mesh.peerId)).to.equal(false)
  })

  it('is banned for chunks of another hash', async () => {
    const [honest, hostile] = await connected()
    await hostile.mesh.unhandle(BLOB_PROTOCOL)
    await answerWith(hostile.mesh, BLOB_PROTOCOL, function * () { yield { chunk: randomBytes(100) } })
    for (let i = 0; i < 3; i++) {
      await failureOf(honest.blobs.pull(manifestOf(randomBytes(100)), [hostile.mesh.peerId], { kind: 'test', signal: soon() }))
    }
    await gone(honest, hostile)
    await expectBanned(honest, hostile, /wrong hash/)
  })

  it('is not banned for being slow, refusing, or speaking otherwise', async () => {
    const [honest, other] = await connected()
    await other.mesh.unhandle(BLOB_PROTOCOL)
    await answerWith(other.mesh, BLOB_PROTOCOL, function * () { yield { refused: 'not held here' } })
    for (let i = 0; i < 5; i++) {
      await failureOf(honest.blobs.pull(manifestOf(randomBytes(100)), [other.mesh.peerId], { kind: 'test', signal: soon() }))
      await endOf(other.mesh, honest.mesh, CONTRIBUTION_PROTOCOL, randomBytes(10))
    }
    expect(honest.bans.list()).to.deep.equal([])
  })

  it('is not banned for gossip that is late, of another version, or of another clock, which an honest peer may pass on', async () => {
    const [honest, other] = await connected()
    const joined = honest.jobs.join(JOB, SITES)
    const topic = `colanet/1/job/${joined.id}`
    await listening(other.mesh.services.pubsub, topic, honest.mesh.peerId)
    const author = await generateKeyPair('Ed25519')
    const recordOf = async (round: number): Promise<ContributionRecord> => await signRecord(author, { job: joined.id, round, tokens: 1, final: false, manifest: manifestOf(randomBytes(9)) })
    const gossip = async (name: string, message: object): Promise<void> => { await other.mesh.services.pubsub.publish(name, encodeMessage(message)) }
    const advertOf = (fields: object): object => ({ ...offer(other), ...fields })
    for (let i = 1; i <= 5; i++) {
      await gossip(topic, { type: 'contribution', record: await recordOf(10) })
      await gossip(topic, { type: 'contribution', record: await recordOf(i) })
      await gossip(topic, { type: 'contribution', record: await recordOf(i), surprise: true })
      await gossip(topic, { type: 'surprise', i })
      await gossip(ADVERT_TOPIC, advertOf({ expires: Date.now() - i }))
      await gossip(ADVERT_TOPIC, advertOf({ expires: Date.now() + 3_600_000 + i }))
      await gossip(ADVERT_TOPIC, advertOf({ tokensPerSecond: -i, expires: Date.now() + 10_000 }))
    }
    const heard = pEvent(joined.members, 'change', { filter: () => joined.members.heard.some(({ round }) => round === 11), signal: soon() })
    await gossip(topic, { type: 'contribution', record: await recordOf(11) })
    await heard
    expect(joined.members.heard.map(({ round }) => round)).to.deep.equal([11])
    expect(honest.bans.list()).to.deep.equal([])
    expect(scoreOf(honest.mesh.services.pubsub, other.mesh.peerId)).to.be.at.least(0)
  })
})

/** What a host would say of itself, but for the lease. */
function offer (node: ColaNode): object {
  return {
    peer: node.mesh.peerId.toString(),
    model: 'a'.repeat(64),
    name: 'test',
    task: 'CAUSAL_LM',
    sites: SITES,
    output: 'h',
    defaultSites: ['h'],
    fanInFanOut: false,
    positions: 8,
    vocabSize: 9,
    labels: [],
    limits: { rows: 1, tokens: 1, rank: 1 },
    tokensPerSecond: 1,
    engine: 'test',
    files: {}
  }
}
