import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId, PrivateKey, Stream } from '@libp2p/interface'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { tellBans } from '../../src/cli/network.js'
import { startBackend } from '../../src/engine/backend.js'
import { encodeAdapter } from '../../src/gl/adapter-message.js'
import { specsOf } from '../../src/job.js'
import { Host } from '../../src/node/host/host.js'
import { lend } from '../../src/node/host/lend.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import type { JoinedJob } from '../../src/node/jobs.js'
import type { ColaNode, ColaNodeInit } from '../../src/node/node.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import type { TrainContext } from '../../src/node/trainer/place.js'
import { trainInMesh, trainLocally, type TrainReport } from '../../src/node/trainer/train.js'
import { ADVERT_TOPIC } from '../../src/protocols/advert/constants.js'
import { BLOB_PROTOCOL } from '../../src/protocols/blob/index.js'
import { CONTRIBUTION_PROTOCOL, type ContributionRecord, signRecord } from '../../src/protocols/contribution/index.js'
import { encodeMessage } from '../../src/protocols/message.js'
import { STEP_PROTOCOL, stepClient, type StepRequest } from '../../src/protocols/step/index.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import { randomAdapter } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { listening } from '../protocols/gossipers.js'
import { answerWith, endOf, soon } from '../protocols/nodes.js'
import { FIXTURES, readBatch } from '../support/fixtures.js'
import { hear, Nodes } from './liar.js'

const MODEL = join(FIXTURES, 'gpt2-odd')
const BATCH = 'gpt2-odd'

/** What heap and buffers may have grown by when an attack is over, in bytes: what was sent meanwhile is many times that, or without end. */
const GROWTH = 48 << 20

/** A message as gossipsub has it on the wire. */
interface RawMessage {
  readonly data: Uint8Array
  readonly topic: string
}

/** Parts of gossipsub that its types leave out. */
interface Inside {
  sendRpc (peer: string, rpc: object): boolean
  handleReceivedRpc (from: PeerId, rpc: { readonly messages: readonly RawMessage[] }): Promise<void>
}

/** Whom an attack is made on, and by whom. */
interface Scene {
  readonly host: ColaNode
  readonly hostile: ColaNode
  readonly key: PrivateKey
  /** The honest trainer's job, as the host has it. */
  readonly joined: JoinedJob
  /** Messages of others that have come to the hostile peer by gossip. */
  readonly overheard: readonly RawMessage[]
}

interface Attack {
  readonly limits?: ColaNodeInit['limits']
  /** What is done over and over until the peer is banned. */
  readonly strike: (scene: Scene, turn: number) => Promise<unknown>
  readonly reason: RegExp
}

describe('a hostile peer beside an honest trainer', function () {
  this.timeout(120_000)
  const nodes = new Nodes(MODEL)
  const options = parseTrainOptions({ model: MODEL, batch: join(MODEL, 'batch.safetensors'), patience: 30, steps: 6, rank: 2, lr: 0.01, schedule: 'constant', seed: 5, job: 'honest' })
  let model: ModelThread
  let reference: TrainReport

  before(async () => {
    await startBackend()
    setFlagsFromString('--expose-gc')
    model = await ModelThread.open({ folder: MODEL, log: () => {} })
    reference = await trainLocally(options, contextOf(await nodes.folder()))
  })
  after(async () => { await model.dispose() })
  afterEach(async () => { await nodes.stop() })

  const attacks: Record<string, Attack> = {
    'asks in frames that are too long': {
      strike: async ({ host, hostile }) => await endOf(hostile.mesh, host.mesh, CONTRIBUTION_PROTOCOL, randomBytes(100_000)),
      reason: /more than a frame of contribution of 256 bytes at once/
    },
    'gossips more than is gossiped': {
      strike: async ({ hostile }) => await hostile.mesh.services.pubsub.publish(ADVERT_TOPIC, randomBytes(100_000)),
      reason: /gossip: a message of 100000 bytes/
    },
    'gossips noise': {
      strike: async ({ hostile }) => await hostile.mesh.services.pubsub.publish(ADVERT_TOPIC, Buffer.alloc(100, 0xff)),
      reason: /gossip: a message that is malformed/
    },
    'gossips numbers that are NaN': {
      strike: async ({ hostile }, turn) => await hostile.mesh.services.pubsub.publish(ADVERT_TOPIC, encodeMessage({ turn, tokensPerSecond: NaN })),
      reason: /gossip: a message that is malformed/
    },
    'gossips manifests of another hash': {
      strike: async ({ hostile, joined, key }, turn) => {
        const record = await signRecord(key, { job: joined.id, round: turn, tokens: 1, final: false, manifest: { ...manifestOf(randomBytes(9)), id: 'a'.repeat(64) } })
        return await hostile.mesh.services.pubsub.publish(topicOf(joined), encodeMessage({ type: 'contribution', record }))
      },
      reason: /gossip: a message that is malformed/
    },
    'gossips contributions in the name of another': {
      strike: async ({ hostile, joined, host, key }, turn) => {
        const record = await signRecord(key, { job: joined.id, round: turn, tokens: 1, final: false, manifest: manifestOf(randomBytes(9)) })
        return await hostile.mesh.services.pubsub.publish(topicOf(joined), encodeMessage({ type: 'contribution', record: { ...record, peer: host.mesh.peerId.toString() } }))
      },
      reason: /gossip: a contribution that its author did not sign/
    },
    'gossips to one job what is of another': {
      strike: async ({ hostile, joined, key }, turn) => {
        const record = await signRecord(key, { job: 'f'.repeat(64), round: turn, tokens: 1, final: false, manifest: manifestOf(randomBytes(9)) })
        return await hostile.mesh.services.pubsub.publish(topicOf(joined), encodeMessage({ type: 'contribution', record }))
      },
      reason: /gossip: contribution data of another job/
    },
    'alters what others have written': {
      strike: async ({ hostile, host, overheard }) => {
        for (const message of overheard.slice(0, 1)) inside(hostile).sendRpc(host.mesh.peerId.toString(), rpcOf({ ...message, data: randomBytes(100) }))
        await delay(1)
      },
      reason: /gossip: a message that its writer did not sign/
    },
    'replays what others have written': {
      strike: async ({ hostile, host, overheard }) => {
        for (const message of overheard.slice(0, 1)) inside(hostile).sendRpc(host.mesh.peerId.toString(), rpcOf(message))
        await delay(1)
      },
      reason: /gossip: one message more than 16 times/
    },
    'trains with the contribution of another': {
      strike: async scene => await stepWith(scene, await signRecord(await generateKeyPair('Ed25519'), { job: scene.joined.id, round: 1, tokens: 1, final: false, manifest: manifestOf(randomBytes(9)) })),
      reason: /trainer's own/
    },
    'contributes numbers that are NaN': {
      strike: async (scene, turn) => {
        const { joined: { job, sites, id }, hostile, key } = scene
        const adapter = randomAdapter(specsOf(job)[0], sites, seeded(turn))
        for (const tensors of adapter.values()) for (const { values } of tensors.values()) values[0] = NaN
        const manifest = hostile.store.put(encodeAdapter(adapter), 'contribution')
        await stepWith(scene, await signRecord(key, { job: id, round: turn, tokens: 1, final: false, manifest }))
      },
      reason: /a contribution that is none of its job: .* not finite/
    },
    'contributes blobs of another hash': {
      strike: async (scene, turn) => {
        const { joined: { id }, hostile, key } = scene
        if (turn === 1) {
          await hostile.mesh.unhandle(BLOB_PROTOCOL)
          await answerWith(hostile.mesh, BLOB_PROTOCOL, function * () { yield { chunk: randomBytes(100) } })
        }
        await stepWith(scene, await signRecord(key, { job: id, round: turn, tokens: 1, final: false, manifest: manifestOf(randomBytes(100)) }))
      },
      reason: /wrong hash/
    },
    'sends a byte of a header now and then': {
      limits: { standstill: 1_000 },
      strike: async ({ hostile, host }) => {
        const stream = await hostile.mesh.dialProtocol(host.mesh.peerId, STEP_PROTOCOL)
        while (stream.status === 'open') {
          stream.send(Uint8Array.of(0x80))
          await delay(300)
        }
      },
      reason: /exchanges of step that stand still, one after the other/
    },
    'asks, and reads nothing': {
      limits: { standstill: 1_000 },
      strike: async ({ hostile, host }) => {
        const { id } = host.store.put(Buffer.alloc(2 << 20, 1), 'test')
        const stream = await hostile.mesh.dialProtocol(host.mesh.peerId, BLOB_PROTOCOL)
        stream.pause()
        stream.send(prefixed(encodeMessage({ id, chunks: [0, 1, 2, 3] })))
        await closed(stream)
      },
      reason: /exchanges of blob that stand still, one after the other/
    },
    'is no member, and asks for what it may not have again and again': {
      limits: { exchanges: 3 },
      strike: async ({ hostile, host }) => {
        await Promise.all(Array.from({ length: 8 }, async () => {
          const stream = await hostile.mesh.dialProtocol(host.mesh.peerId, BLOB_PROTOCOL)
          stream.send(prefixed(encodeMessage({ id: 'f'.repeat(64), chunks: [0] })))
          await stream.close({ signal: soon() })
        }))
      },
      reason: /flooding: far more than 3 exchanges of blob a second/
    },
    'floods with gossip in which nothing is wrong': {
      limits: { messages: 5 },
      strike: async ({ hostile }, turn) => await hostile.mesh.services.pubsub.publish(ADVERT_TOPIC, encodeMessage({ surprise: turn })),
      reason: /flooding: far more than 5 messages of gossip a second/
    }
  }

  for (const [what, { limits, strike, reason }] of Object.entries(attacks)) {
    it(`is banned when it ${what}, and nobody else notices`, async () => {
      const [host, trainer, hostile] = [await nodes.add(undefined, limits), await nodes.add(), await nodes.add()]
      await lend(host, { host: new Host({ model, jobs: host.jobs }), folder: MODEL })
      const lines: string[] = []
      tellBans(host, line => lines.push(line))
      await hear(trainer, host)
      await hostile.mesh.dial(host.mesh.getMultiaddrs(), { signal: soon() })
      const overheard = overhear(hostile)
      await listening(hostile.mesh.services.pubsub, ADVERT_TOPIC, host.mesh.peerId)
      const ended = trainInMesh(trainer, options, contextOf(trainer.folder))
      const joined = await jobAt(host)
      const scene: Scene = { host, hostile, key: hostile.identity, joined, overheard }
      await listening(hostile.mesh.services.pubsub, topicOf(joined), host.mesh.peerId)
      await stepClient()(hostile.mesh).open(host.mesh.peerId, joined.job, { signal: soon() })

      const before = memory()
      for (let turn = 1; !host.bans.has(hostile.mesh.peerId); turn++) {
        soon().throwIfAborted()
        await strike(scene, turn).catch(() => {})
        await delay(turn % 50 === 0 ? 1 : 0)
      }
      const { losses, deltaHash } = await ended
      expect(memory() - before).to.be.below(GROWTH)
      expect({ losses, deltaHash }).to.deep.equal({ losses: reference.losses, deltaHash: reference.deltaHash })
      expect(host.bans.list().map(({ peer }) => peer.toString())).to.deep.equal([hostile.mesh.peerId.toString()])
      expect(host.bans.list()[0].reason).to.match(reason)
      expect(lines).to.have.length(1)
      expect(lines[0]).to.match(new RegExp(`^banned ${hostile.mesh.peerId.toString()} until .*Z: .*${reason.source}`))
      expect(trainer.bans.has(host.mesh.peerId)).to.equal(false)
      expect(host.mesh.getConnections(hostile.mesh.peerId).filter(({ status }) => status === 'open')).to.deep.equal([])
    })
  }
})

function contextOf (folder: string): TrainContext {
  return { folder, engine: 'test', reporter: { progress: () => {}, log: () => {} }, signal: soon() }
}

function topicOf ({ id }: JoinedJob): string {
  return `colanet/1/job/${id}`
}

/** The job that has been opened at a host. */
async function jobAt ({ jobs, mesh: { services: { pubsub } } }: ColaNode): Promise<JoinedJob> {
  for (;;) {
    const topic = pubsub.getTopics().find(topic => topic.startsWith('colanet/1/job/'))
    if (topic !== undefined) return jobs.get(topic.slice('colanet/1/job/'.length))!
    await delay(5, undefined, { signal: soon() })
  }
}

/** A step of the honest trainer's job, in the hostile peer's own name. */
async function stepWith ({ hostile, host, joined: { id, sites } }: Scene, contribution: ContributionRecord): Promise<void> {
  const request: StepRequest = {
    job: id, step: 1, purpose: 'train', adapted: true, wire: 'factors', sites: sites.map(({ name }) => name), contribution, batch: await readBatch(BATCH)
  }
  await stepClient()(hostile.mesh).step(host.mesh.peerId, request, { signal: soon() })
}

/** What comes to a peer by gossip from now on. */
function overhear (node: ColaNode): RawMessage[] {
  const heard: RawMessage[] = []
  const receive = inside(node).handleReceivedRpc.bind(inside(node))
  inside(node).handleReceivedRpc = async (from, rpc) => {
    heard.push(...rpc.messages)
    await receive(from, rpc)
  }
  return heard
}

function inside ({ mesh: { services: { pubsub } } }: ColaNode): Inside {
  return pubsub as unknown as Inside
}

function rpcOf (message: RawMessage): object {
  return { subscriptions: [], messages: [message] }
}

/** As a frame, of less than 128 bytes. */
function prefixed (bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(bytes.byteLength), bytes])
}

async function closed (stream: Stream): Promise<void> {
  if (stream.status === 'open') await pEvent(stream, 'close', { signal: soon() })
}

/** Heap and buffers that are in use, in bytes. */
function memory (): number {
  const gc = runInNewContext('gc') as () => void
  gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
