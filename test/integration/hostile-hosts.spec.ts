import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Message } from '@chainsafe/libp2p-gossipsub'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { startBackend } from '../../src/engine/backend.js'
import { InvalidBatchError, UnknownJobError } from '../../src/errors.js'
import { encodeAdapter } from '../../src/gl/adapter-message.js'
import { specsOf } from '../../src/job.js'
import { ContributionMap } from '../../src/merge/contribution-map.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import { type Member, memberOf } from '../../src/node/job-members.js'
import type { ColaNode } from '../../src/node/node.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import type { TrainContext } from '../../src/node/trainer/place.js'
import { trainInMesh, trainLocally, type TrainReport } from '../../src/node/trainer/train.js'
import { type ContributionRecord, type RecordFields, signRecord } from '../../src/protocols/contribution/index.js'
import type { StepReply } from '../../src/protocols/step/index.js'
import type { AdaptationMessage } from '../../src/protocols/topic/index.js'
import { tensorsOf } from '../../src/tensor/adaptation.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import type { AdapterTensors, AdaptationData, FloatTensor, Mode, SiteData, WireForm } from '../../src/types.js'
import { randomAdapter } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { soon } from '../protocols/nodes.js'
import { FIXTURES } from '../support/fixtures.js'
import { hear, type Lies, Nodes } from './liar.js'
import { failureOf } from '../support/failure.js'

const MODEL = join(FIXTURES, 'gpt2-odd')
const STEPS = 6

/** The first step about which a host lies: in the midst of an interval, of which nothing may be lost. */
const FROM = 3

/** How long a trainer looks for a host when there is another one, and when there is none, in seconds. */
const PATIENCE = 15
const SHORT_PATIENCE = 1

/** How to train; alone, and with factors' gradients on the wire, unless told otherwise. */
interface Way {
  readonly mode?: Mode
  readonly wire?: WireForm
}

interface Run {
  readonly ended: Promise<TrainReport>
  /** What the trainer has said so far. */
  readonly lines: readonly string[]
}

describe('a trainer that meets a host that lies', function () {
  this.timeout(60_000)
  const nodes = new Nodes(MODEL)
  /** Undisturbed, by mode and wire form. */
  const references = new Map<string, TrainReport>()
  let models: ModelThread[]

  before(async () => {
    await startBackend()
    models = await Promise.all([1, 2].map(async () => await ModelThread.open({ folder: MODEL, log: () => {} })))
    for (const way of [{}, { wire: 'f32' }, { mode: 'collaboration' }, { mode: 'joint' }] as const) {
      const report = await trainLocally(optionsOf(way), contextOf(await nodes.folder(), []))
      references.set(`${report.mode}/${report.wire}`, report)
    }
    await nodes.stop()
  })
  after(async () => { for (const model of models) await model.dispose() })
  afterEach(async () => {
    await nodes.stop()
  })

  function run (trainer: ColaNode, way: Way = {}, patience = PATIENCE): Run {
    const lines: string[] = []
    return { ended: trainInMesh(trainer, optionsOf(way, patience), contextOf(trainer.folder, lines)), lines }
  }

  /** Trains where both are on offer when the liar first lies, and the liar was there first. */
  async function runBeside (lies: Lies, way: Way): Promise<Run & { readonly liar: ColaNode, readonly honest: ColaNode }> {
    const trainer = await nodes.add()
    const honest = await nodes.honest(models[0])
    const liar = await nodes.liar(models[1], lies, { from: FROM, before: async () => { await hear(trainer, honest) } })
    await hear(trainer, liar)
    return { ...run(trainer, way), liar, honest }
  }

  /** Trains where the liar is the only host. */
  async function runWith (lies: Lies, way: Way = {}): Promise<Run & { readonly trainer: ColaNode, readonly liar: ColaNode }> {
    const trainer = await nodes.add()
    const liar = await nodes.liar(models[1], lies, { from: FROM })
    await hear(trainer, liar)
    return { ...run(trainer, way, SHORT_PATIENCE), trainer, liar }
  }

  function expectUndisturbed ({ mode, wire, losses, deltaHash, tokens, members }: TrainReport): void {
    const reference = references.get(`${mode}/${wire}`)!
    expect(losses).to.have.lengthOf(STEPS)
    expect({ losses, deltaHash, tokens }).to.deep.equal({ losses: reference.losses, deltaHash: reference.deltaHash, tokens: reference.tokens })
    expect(members).to.have.lengthOf(1)
  }

  const lies: ReadonlyArray<readonly [what: string, refusal: string, lies: Lies, modes?: readonly Mode[]]> = [
    ['serves another model', 'ModelMismatchError', { opened: opened => ({ ...opened, model: 'a'.repeat(64) }) }],
    ['serves sites of other sizes', 'ModelMismatchError', { opened: ({ model, sites }) => ({ model, sites: sites.map(site => ({ ...site, outFeatures: site.outFeatures + 1 })) }) }],
    ['serves fewer sites', 'ModelMismatchError', { opened: ({ model, sites }) => ({ model, sites: sites.slice(1) }) }],

    ['tells a loss of NaN', 'ProtocolError', { reply: reply => ({ ...reply, loss: NaN }) }],
    ['tells an infinite loss', 'ProtocolError', { reply: reply => ({ ...reply, loss: -Infinity }) }],
    ['counts more tokens than the batch has', 'ProtocolError', { reply: reply => ({ ...reply, tokens: reply.tokens + 1 }) }],
    ['refuses a batch in which nothing is wrong', 'InvalidBatchError', { reply: () => { throw new InvalidBatchError('a word that I do not like') } }],
    ['closes the stream instead of answering', '\\w+', { closes: 'stream' }],
    ['closes the connection instead of answering', '\\w+', { closes: 'connection' }],
    ['answers and is gone, without the data', '\\w+', { closes: 'connection afterwards' }],

    ['sends values that are NaN', 'NonFiniteError', { data: everySite((first, second) => [withLast(first, NaN), second]) }],
    ['sends values that are infinite', 'NonFiniteError', { data: everySite((first, second) => [first, withLast(second, -Infinity)]) }],

    ['sends chunks with another hash', 'BlobUnavailableError', { chunk: chunk => ({ chunk: chunk.map(byte => byte ^ 1) }) }],
    ['sends chunks that are too short', 'BlobUnavailableError', { chunk: chunk => ({ chunk: chunk.subarray(1) }) }],
    ['sends chunks that are too long', 'BlobUnavailableError', { chunk: chunk => ({ chunk: Buffer.concat([chunk, Buffer.of(0)]) }) }],
    ['does not give what it announces', 'BlobUnavailableError', { chunk: () => ({ refused: 'not today' }) }],

    ['sends a row too few', 'InvalidTensorError', { data: everySite((first, second) => [withoutLastRow(first), withoutLastRow(second)]) }],
    ['sends one tensor for the other', 'InvalidTensorError', { data: everySite((_, second) => [second, second]) }],
    ['sends a tensor transposed', 'InvalidTensorError', { data: everySite((first, second) => [first, { ...second, shape: second.shape.toReversed() }]) }],
    ['leaves a site out', 'InvalidTensorError', { data: data => new Map([...data].slice(1)) }],
    ['sends a site too many', 'InvalidTensorError', { data: data => new Map([...data, ['wte', [...data.values()][0]]]) }],
    ['sends noise', 'InvalidTensorError', { bytes: bytes => randomBytes(bytes.byteLength) }],
    ['sends the beginning alone', 'InvalidTensorError', { bytes: bytes => bytes.subarray(0, -4) }],
    ['announces a site that the job has not', 'ProtocolError', { announced: message => [{ ...message, sites: [...message.sites, 'wte'] }] }],

    ['lists a member that did not sign', 'ProtocolError', { reply: async (reply, { job }) => ({ ...reply, members: [...reply.members, await unsigned(job)] }) },
      ['alone', 'collaboration', 'joint']],
    ['lists a member of another job', 'ProtocolError', { reply: async reply => ({ ...reply, members: [...reply.members, await signed({ job: 'f'.repeat(64) })] }) }],
    ['lists the trainer with an auxiliary that it did not sign', 'ProtocolError', { reply: withForgedAuxiliary }, ['joint']]
  ]

  for (const [what, refusal, lie, modes = ['alone'] as const] of lies) {
    const ways: readonly Way[] = lie.data === undefined ? modes.map(mode => ({ mode })) : [{ wire: 'factors' }, { wire: 'f32' }]
    for (const way of ways) {
      it(`goes on at the honest host beside one that ${what}, as if nothing had been, ${JSON.stringify(way)}`, async () => {
        const { ended, lines, liar, honest } = await runBeside(lie, way)
        expectUndisturbed(await ended)
        expect(lines.join('\n')).to.match(new RegExp(`host ${idOf(liar)}: ${refusal}: .*; looking for another one\nusing host ${idOf(honest)}`))
      })
    }
  }

  it('refuses a gradient whose square is infinite; the same command goes on at an honest host, from where it was', async () => {
    const { ended, ...both } = await runWith({ data: everySite((first, second) => [first, withLast(second, 3e38)]) })
    expect((await failureOf(ended)).name).to.equal('NonFiniteError')
    await expectResumes(both)
  })

  describe('and no other, ends with the name of what is wrong,', () => {
    const some = ['serves another model', 'serves sites of other sizes', 'tells a loss of NaN', 'sends values that are NaN', 'sends chunks with another hash']
    const alone: typeof lies = [
      ...lies.filter(([what]) => some.includes(what)),
      ['has always just forgotten the job', 'UnknownJobError', { reply: () => { throw new UnknownJobError('which job?') } }]
    ]
    for (const [what, refusal, lie] of alone) {
      it(`when it ${what}; nothing that was learned before is lost`, async () => {
        const { ended, ...both } = await runWith(lie)
        expect((await failureOf(ended)).name).to.equal(refusal)
        await expectResumes(both, lie.opened === undefined ? FROM : 0)
      })
    }
  })

  it('does not count members that did not sign, of which the host tells at the beginning', async () => {
    const { ended, lines } = await runWith({ records: async (job, liar) => [await countable(job, liar)] }, { mode: 'collaboration' })
    expectUndisturbed(await ended)
    expect(lines.join()).to.not.include('looking for another one')
  })

  it('does not count members that did not sign, of which the host tells by gossip, twice: three times would have it banned', async () => {
    let told = 0
    const { ended, lines } = await runWith({
      reply: async (reply, { job }, liar, trainer) => {
        if (reply.members.length === 1 && told++ < 2) await liar.jobs.get(job)!.topic!.publish({ type: 'contribution', record: await countable(job, liar) }, { to: trainer, signal: soon() })
        return reply
      }
    }, { mode: 'collaboration' })
    expectUndisturbed(await ended)
    expect(lines.join()).to.not.include('looking for another one')
  })

  it('takes no data that are for another trainer, another step or another state', async () => {
    const { ended, lines } = await runWith({
      announced: (message, liar) => {
        const noise = { ...message, manifest: liar.store.put(randomBytes(100), 'adaptation') }
        return [{ ...noise, trainer: idOf(liar) }, { ...noise, step: message.step + 1 }, { ...noise, version: 'f'.repeat(64) }, message]
      }
    })
    expectUndisturbed(await ended)
    expect(lines.join()).to.not.include('looking for another one')
  })

  it('takes adaptation data from none but the host that it asked', async () => {
    const trainer = await nodes.add()
    const bystander = await nodes.add()
    let told = 0
    const host = await nodes.liar(models[0], {
      reply: async (reply, { job, step, wire }, { jobs }) => {
        const { sites, job: agreed } = jobs.get(job)!
        const { topic } = bystander.jobs.join(agreed, sites)
        const manifest = bystander.store.put(randomBytes(100), 'adaptation')
        const heard = pEvent<'message', CustomEvent<Message>>(trainer.mesh.services.pubsub, 'message', {
          filter: ({ detail: message }) => message.type === 'signed' && message.from.equals(bystander.mesh.peerId),
          signal: soon()
        })
        const message: AdaptationMessage = { type: 'adaptation', job, step, trainer: idOf(trainer), version: reply.version, group: '0', sites: sites.map(({ name }) => name), wire, manifest }
        await topic!.publish(message, { to: trainer.mesh.peerId, signal: soon() })
        await heard
        told++
        return reply
      }
    })
    await hear(trainer, host)
    await bystander.mesh.dial(trainer.mesh.getMultiaddrs(), { signal: soon() })
    const { ended, lines } = run(trainer)
    expectUndisturbed(await ended)
    expect(told).to.equal(STEPS)
    expect(lines.join()).to.not.include('looking for another one')
  })

  /** The same command at an honest host, in a process that knows no more than what is on disk. */
  async function expectResumes ({ trainer, liar }: { readonly trainer: ColaNode, readonly liar: ColaNode }, from = FROM): Promise<void> {
    await nodes.leave(liar)
    await nodes.leave(trainer)
    const again = await nodes.add(trainer.folder)
    await hear(again, await nodes.honest(models[0]))
    const { ended, lines } = run(again)
    expectUndisturbed(await ended)
    if (from > 0) expect(lines).to.include(`resuming job default after step ${from}`)
  }
})

function optionsOf (way: Way, patience = PATIENCE): ReturnType<typeof parseTrainOptions> {
  return parseTrainOptions({ model: MODEL, batch: join(MODEL, 'batch.safetensors'), wire: 'factors', ...way, patience, steps: STEPS, interval: 2, rank: 2, lr: 0.01, schedule: 'constant', seed: 5 })
}

function contextOf (folder: string, lines: string[]): TrainContext {
  return { folder, engine: 'test', reporter: { progress: () => { /* not looked at */ }, log: line => lines.push(line) }, signal: soon() }
}

function idOf ({ mesh }: ColaNode): string {
  return mesh.peerId.toString()
}

/** Of x and ∇ĥ, or of the gradients of A and B. */
function everySite (lie: (first: FloatTensor, second: FloatTensor) => readonly [FloatTensor, FloatTensor]): (data: AdaptationData) => AdaptationData {
  return data => new Map<string, SiteData>([...data].map(([site, own]) => {
    const [first, second] = lie(...tensorsOf(own) as [FloatTensor, FloatTensor])
    return [site, 'factors' in own ? { factors: new Map([...own.factors.keys()].map((name, i) => [name, [first, second][i]])) } : { x: first, gradient: second }]
  }))
}

function withoutLastRow ({ shape: [rows, features], values }: FloatTensor): FloatTensor {
  return { shape: [rows - 1, features], values: values.slice(0, -features) }
}

function withLast ({ shape, values }: FloatTensor, value: number): FloatTensor {
  return { shape, values: Float32Array.of(...values.subarray(0, -1), value) }
}

async function signed (fields: Partial<RecordFields> = {}): Promise<ContributionRecord> {
  return await signRecord(await generateKeyPair('Ed25519'), { job: 'f'.repeat(64), round: 1, tokens: 9, final: false, manifest: manifestOf(randomBytes(10)), ...fields })
}

/** Changed after it was signed. */
async function unsigned (job: string): Promise<ContributionRecord> {
  return { ...await signed({ job }), round: 2 }
}

/** In the name of a host that did not sign it, with an auxiliary that would count. */
async function countable (job: string, liar: ColaNode): Promise<ContributionRecord> {
  const { job: agreed, sites } = liar.jobs.get(job)!
  const manifest = liar.store.put(encodeAdapter(randomAdapter(specsOf(agreed)[0], sites, seeded(1))), 'contribution')
  return { ...await signed({ job, manifest }), peer: idOf(liar) }
}

/** The state that a host would have, had the trainer contributed something else in its latest round. */
async function withForgedAuxiliary (...[reply, { job }, liar]: Parameters<NonNullable<Lies['reply']>>): Promise<StepReply> {
  const [{ record, spec, adapter }] = liar.jobs.get(job)!.members.held
  const other: AdapterTensors = new Map([...adapter].map(([site, own]) =>
    [site, new Map([...own].map(([name, { shape, values }]) => [name, { shape, values: values.map(value => value + 1) }]))]))
  const forged = { ...record, manifest: liar.store.put(encodeAdapter(other), 'contribution') }
  const state = new ContributionMap<Member>()
  state.add(memberOf(forged, { spec, adapter: other }))
  return await Promise.resolve({ ...reply, members: [forged], version: state.stateId() })
}
