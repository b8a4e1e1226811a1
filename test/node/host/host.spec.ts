import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import type { Job } from '../../../src/job.js'
import { Host, type HostedStep } from '../../../src/node/host/host.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import { type JoinedJob, Jobs } from '../../../src/node/jobs.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import type { ContributionRecord } from '../../../src/protocols/contribution/index.js'
import type { StepRequest } from '../../../src/protocols/step/index.js'
import { type AuxiliarySpec, type Batch, MERGES, MODES } from '../../../src/types.js'
import { randomAdapter } from '../../gl/adaptation.js'
import { expectAdaptation } from '../../gl/expect-adaptation.js'
import { seeded } from '../../merge/random.js'
import { relativeError } from '../../support/compare.js'
import { FIXTURES, readBatch } from '../../support/fixtures.js'
import { failureOf } from '../../support/failure.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 2 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }
const MLP: AuxiliarySpec = { kind: 'mlp', rank: 1, alpha: 1 }
const forever = new AbortController().signal

describe('a host', () => {
  let model: LocalModel
  let batch: Batch
  let host: Host
  let jobs: Jobs
  let peer: PeerId

  before(async () => {
    model = await LocalModel.open(join(FIXTURES, 'gpt2-odd'), {}, () => {})
    batch = await readBatch('gpt2-odd')
  })
  after(async () => { await model.dispose() })

  beforeEach(async () => {
    const identity = await generateKeyPair('Ed25519')
    jobs = new Jobs({ identity, store: new BlobStore(), log: () => {} })
    host = new Host({ model, jobs })
    peer = peerIdFromPrivateKey(identity)
  })

  function jobOf ({ kind, ...auxiliary }: AuxiliarySpec, fields: Partial<Job> = {}): Job {
    const sites = model.info.sites.filter(({ name }) => name.endsWith('c_attn'))
    return { name: 'test', model: model.info.id, sites: sites.map(({ name }) => name), auxiliary, kinds: [kind], mode: 'alone', merge: 'never', interval: 1, seed: 0, ...fields }
  }

  function open (auxiliary: AuxiliarySpec, fields: Partial<Job> = {}): JoinedJob {
    const job = jobOf(auxiliary, fields)
    const { sites } = host.open(job)
    return jobs.join(job, sites)
  }

  function request ({ id, job: { sites } }: JoinedJob, fields: Partial<StepRequest> = {}): StepRequest {
    return { job: id, step: 0, purpose: 'train', adapted: true, wire: 'factors', sites: [...sites], contribution: null, batch, ...fields }
  }

  async function step (joined: JoinedJob, fields: Partial<StepRequest> = {}): Promise<HostedStep> {
    return await host.step(peer, request(joined, fields), 'tensors', forever)
  }

  /** This trainer's, small, so that losses stay what they are. */
  async function contribute (joined: JoinedJob, spec: AuxiliarySpec, sites = joined.sites, seed = 1): Promise<ContributionRecord> {
    const adapter = randomAdapter(spec, sites, seeded(seed))
    for (const own of adapter.values()) for (const { values } of own.values()) values.forEach((value, i) => { values[i] = value / 3 })
    return await joined.contribute(adapter, { tokens: 1, final: false })
  }

  it('gives the gradients of the factors that a trainer has contributed, and refuses them before', async () => {
    const joined = open(LOW_RANK)
    expect(await failureOf(step(joined))).to.have.property('name', 'ProtocolError')
    expect(await failureOf(step(joined, { adapted: false }))).to.have.property('name', 'ProtocolError')

    await contribute(joined, LOW_RANK)
    const { data } = await step(joined)
    expect([...data.keys()]).to.deep.equal(joined.sites.map(({ name }) => name))
    for (const own of data.values()) expect(own).to.have.all.keys('factors')
    expect((await step(joined, { wire: 'f32' })).data.size).to.equal(data.size)
    expect((await step(joined, { purpose: 'evaluate' })).data.size).to.equal(0)
  })

  for (const spec of [LINEAR, MLP]) {
    it(`refuses gradients of factors where auxiliaries have none, ${spec.kind}`, async () => {
      const joined = open(spec)
      await contribute(joined, spec)
      const refused = await failureOf(step(joined))
      expect(refused).to.have.property('name', 'InvalidOptionError')
      expect(refused.message).to.equal(`${spec.kind} auxiliaries have no factors; use the wire form f32, bf16 or f16`)
    })

    it(`refuses them to the ${spec.kind} member of a mixture, and gives them to another`, async () => {
      const joined = open(LOW_RANK, { kinds: ['low-rank', spec.kind] })
      await contribute(joined, { ...LOW_RANK, kind: spec.kind })
      expect(await failureOf(step(joined))).to.have.property('name', 'InvalidOptionError')
      expect((await step(joined, { wire: 'f32' })).data.size).to.equal(joined.sites.length)
      await contribute(joined, LOW_RANK)
      for (const own of (await step(joined)).data.values()) expect(own).to.have.all.keys('factors')
    })
  }

  it('gives sums of ∇ĥ·xᵀ where a kind of the job is linear in x, also before there is a contribution, and refuses them elsewhere', async () => {
    for (const spec of [LOW_RANK, LINEAR]) {
      const joined = open(spec)
      for (const adapted of [false, true]) {
        const { data } = await step(joined, { wire: 'product', adapted })
        expect([...data.keys()]).to.deep.equal(joined.sites.map(({ name }) => name))
        for (const own of data.values()) expect(own).to.have.all.keys('product')
        await contribute(joined, spec)
      }
    }
    const mlp = open(MLP)
    expect(await failureOf(step(mlp, { wire: 'product' }))).to.have.property('name', 'InvalidOptionError')
    const mixture = open(LOW_RANK, { kinds: ['low-rank', 'mlp'] })
    await contribute(mixture, { ...LOW_RANK, kind: 'mlp' })
    expect(await failureOf(step(mixture, { wire: 'product' }))).to.have.property('name', 'InvalidOptionError')
  })

  it('gives what is rounded to a trainer as a sum of its kind, and refuses it where nothing of the trainer or nothing linear is known', async () => {
    for (const [spec, key] of [[LOW_RANK, 'factors'], [LINEAR, 'product']] as const) {
      const joined = open(spec, { name: `rounded ${spec.kind}` })
      expect(await failureOf(step(joined, { wire: 'int8' }))).to.have.property('name', 'ProtocolError')
      await contribute(joined, spec)
      const exact = await step(joined, { wire: key })
      expect((await step(joined, { wire: 'int8' })).data).to.deep.equal(exact.data)
      const parts: string[] = []
      for await (const { sites } of (await host.step(peer, request(joined, { wire: 'int8' }), 'parts', forever)).parts) parts.push(...sites)
      expect(parts).to.deep.equal(joined.sites.map(({ name }) => name))
    }
    const joined = open(MLP, { name: 'rounded' })
    await contribute(joined, MLP)
    expect(await failureOf(step(joined, { wire: 'int8' }))).to.have.property('name', 'InvalidOptionError')
  })

  for (const mode of ['alone', 'collaboration'] as const) {
    it(`runs the auxiliary for which a batch was made, though a later one is here, and says so, ${mode}`, async () => {
      const joined = open(LOW_RANK, { mode, merge: mode === 'collaboration' ? 'during' : 'never' })
      joined.members.keep(joined.peer, 2)
      const first = await contribute(joined, LOW_RANK)
      const asked = await step(joined, { contribution: first })
      const second = await contribute(joined, LOW_RANK, joined.sites, 2)
      const later = await step(joined, { contribution: second })
      expect(later.reply.version).to.not.equal(asked.reply.version)
      expect(later.reply.loss).to.not.equal(asked.reply.loss)

      const again = await step(joined, { contribution: first })
      expect({ ...again.reply, timings: asked.reply.timings }).to.deep.equal(asked.reply)
      expect(again.data).to.deep.equal(asked.data)
      expect(again.reply.members).to.deep.equal(mode === 'alone' ? [] : [first])
      expect(joined.members.held.map(({ record }) => record)).to.deep.equal([second])
    })
  }

  for (const wire of ['factors', 'f32'] as const) {
    it(`gives a trainer the data of those sites that it fits, and of no others, ${wire}`, async () => {
      const joined = open({ ...LOW_RANK, ranks: { 'transformer.h.1.attn.c_attn': 5 } })
      await contribute(joined, { ...joined.job.auxiliary, kind: 'low-rank' })
      const whole = await step(joined, { wire })
      for (const wanted of [joined.job.sites.slice(0, 1), joined.job.sites.slice(1), []]) {
        const { data, reply } = await step(joined, { wire, sites: [...wanted] })
        expectAdaptation(data, new Map(wanted.map(name => [name, whole.data.get(name)!])), 1e-5)
        expect(relativeError([reply.loss], [whole.reply.loss])).to.be.below(1e-6)
        expect(reply.tokens).to.equal(whole.reply.tokens)
      }
    })
  }

  it('refuses sites that the job has not, and gradients of factors that a trainer has not', async () => {
    const joined = open(LOW_RANK)
    await contribute(joined, LOW_RANK, joined.sites.slice(0, 1))
    const [first, second] = joined.job.sites
    expect(await failureOf(step(joined, { sites: [first, 'transformer.wte'] }))).to.have.property('name', 'UnknownSiteError')
    expect(await failureOf(step(joined, { sites: [first, second] }))).to.have.property('name', 'ProtocolError')
    expect([...(await step(joined, { sites: [first] })).data.keys()]).to.deep.equal([first])
    expect([...(await step(joined, { sites: [first, second], wire: 'f32' })).data.keys()]).to.deep.equal([first, second])
  })

  it('takes ranks up to its limit, of every site, and of kinds that have one', () => {
    host = new Host({ model, jobs, limits: { rank: 4 } })
    const [site] = jobOf(LOW_RANK).sites
    for (const spec of [{ ...LOW_RANK, rank: 5 }, { ...LOW_RANK, ranks: { [site]: 5 } }]) {
      expect(() => host.open(jobOf(spec))).to.throw().with.property('name', 'InvalidOptionError')
      expect(() => host.open(jobOf(spec, { kinds: ['linear', 'low-rank'] }))).to.throw().with.property('name', 'InvalidOptionError')
    }
    host.open(jobOf({ ...LOW_RANK, rank: 4, ranks: { [site]: 3 } }))
    for (const { kind } of [LINEAR, MLP]) host.open(jobOf({ kind, rank: 5, alpha: 1 }))
  })

  for (const mode of MODES) {
    it(`gives the same losses, whatever is merged when, ${mode}`, async () => {
      const losses = []
      for (const merge of MERGES) {
        const joined = open(LOW_RANK, { mode, merge })
        await contribute(joined, LOW_RANK)
        for (const fields of [{ wire: 'f32' }, { wire: 'factors' }, { purpose: 'evaluate' }] as const) losses.push((await step(joined, fields)).reply.loss)
      }
      for (const loss of losses) expect(relativeError([loss], [losses[0]])).to.be.below(1e-5)
      const { reply } = await step(open(LOW_RANK, { mode, name: 'other' }), { adapted: false, wire: 'f32' })
      expect(Math.abs(losses[0] - reply.loss)).to.be.above(1e-3)
    })
  }
})
