import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import type { Job } from '../../../src/job.js'
import { Host } from '../../../src/node/host/host.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import { type JoinedJob, Jobs } from '../../../src/node/jobs.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import type { StepRequest } from '../../../src/protocols/step/index.js'
import type { AuxiliarySpec, Batch } from '../../../src/types.js'
import { randomAdapter } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { FIXTURES, readBatch } from '../../support/fixtures.js'
import { failureOf } from '../../support/failure.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 2 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }
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

  function open (auxiliary: AuxiliarySpec): JoinedJob {
    const sites = model.info.sites.filter(({ name }) => name.endsWith('c_attn'))
    const job: Job = { name: 'test', model: model.info.id, sites: sites.map(({ name }) => name), auxiliary, mode: 'alone', interval: 1, seed: 0 }
    host.open(job)
    return jobs.join(job, sites)
  }

  function request ({ id }: JoinedJob, fields: Partial<StepRequest> = {}): StepRequest {
    return { job: id, step: 0, purpose: 'train', adapted: true, wire: 'factors', contribution: null, batch, ...fields }
  }

  it('gives the gradients of the factors that a trainer has contributed, and refuses them before', async () => {
    const joined = open(LOW_RANK)
    const refused = await failureOf(host.step(peer, request(joined), 'tensors', forever))
    expect(refused).to.have.property('name', 'ProtocolError')
    expect(await failureOf(host.step(peer, request(joined, { adapted: false }), 'tensors', forever))).to.have.property('name', 'ProtocolError')

    await joined.contribute(randomAdapter(LOW_RANK, joined.sites, seeded(1)), { tokens: 0, final: false })
    const { data } = await host.step(peer, request(joined), 'tensors', forever)
    expect([...data.keys()]).to.deep.equal(joined.sites.map(({ name }) => name))
    for (const own of data.values()) expect(own).to.have.all.keys('factors')
    expect((await host.step(peer, request(joined, { wire: 'f32' }), 'tensors', forever)).data.size).to.equal(data.size)
    expect((await host.step(peer, request(joined, { purpose: 'evaluate' }), 'tensors', forever)).data.size).to.equal(0)
  })

  it('refuses gradients of factors where auxiliaries have none', async () => {
    const joined = open(LINEAR)
    await joined.contribute(randomAdapter(LINEAR, joined.sites, seeded(1)), { tokens: 0, final: false })
    const refused = await failureOf(host.step(peer, request(joined), 'tensors', forever))
    expect(refused).to.have.property('name', 'InvalidOptionError')
    expect(refused.message).to.equal('linear auxiliaries have no factors; use the wire form f32 or bf16')
  })
})
