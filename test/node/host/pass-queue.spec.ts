import { join } from 'node:path'
import { expect } from 'chai'
import type { Weighted } from '../../../src/merge/weighted.js'
import { BASE_ALONE } from '../../../src/node/applied.js'
import { LocalModel } from '../../../src/node/host/local-model.js'
import type { LentModel, LentPass } from '../../../src/node/host/lent-model.js'
import { type Pass, PassQueue, type PassRequest } from '../../../src/node/host/pass-queue.js'
import type { AuxiliarySpec, Batch } from '../../../src/types.js'
import { randomAdapter } from '../../gl/adaptation.js'
import { expectAdaptation } from '../../gl/expect-adaptation.js'
import { seeded } from '../../merge/random.js'
import { lengthOf, partOf } from '../../support/batch.js'
import { FIXTURES, readBatch } from '../../support/fixtures.js'
import { failureOf } from '../../support/failure.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 4, alpha: 8 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 0.5 }
const forever = new AbortController().signal

describe('the queue of a host', () => {
  let model: LocalModel
  let batch: Batch
  /** Passes that the model was given. */
  let passes: LentPass[]
  let lent: LentModel
  let trainers = 0

  before(async () => {
    model = await LocalModel.open(join(FIXTURES, 'gpt2-odd'), {}, () => {})
    batch = await readBatch('gpt2-odd')
  })
  after(async () => { await model.dispose() })

  beforeEach(() => {
    passes = []
    lent = {
      info: model.info,
      engine: model.engine,
      dispose: async () => { await Promise.resolve() },
      startNorms: async sites => await model.startNorms(sites),
      pass: async pass => {
        passes.push(pass)
        return await model.pass(pass)
      }
    }
  })

  const siteNames = (): string[] => model.info.sites.filter(({ name }) => name.endsWith('c_attn') || name.endsWith('c_fc')).map(({ name }) => name)

  function request (job: string, fields: Partial<PassRequest> = {}): PassRequest {
    return { job, trainer: String(trainers++), batch, wire: 'f32', encoded: false, sites: siteNames(), rank: LOW_RANK.rank, applied: () => BASE_ALONE, ...fields }
  }

  /** With an auxiliary of its own. */
  function alone (job: string, seed: number, auxiliary = LOW_RANK, own = batch): PassRequest {
    const sites = model.info.sites.filter(({ name }) => siteNames().includes(name))
    const adapter = randomAdapter(auxiliary, sites, seeded(seed))
    for (const tensors of adapter.values()) for (const { values } of tensors.values()) values.forEach((value, i) => { values[i] = value / 10 })
    return request(job, { rank: auxiliary.rank, batch: own, applied: () => ({ version: String(seed), beside: [{ spec: auxiliary, tensors: adapter }], own: { spec: auxiliary, adapter } }) })
  }

  /** The same auxiliary as a member of a merged state. */
  function memberOf (job: string, seed: number): Weighted {
    return { tokens: 9, ...alone(job, seed).applied().own! }
  }

  function expectSame (actual: Pass, expected: Pass): void {
    expect(actual.tokens).to.equal(expected.tokens)
    expect(Math.abs(actual.loss - expected.loss) / expected.loss).to.be.below(1e-6)
    expectAdaptation(actual.data, expected.data, 1e-5)
  }

  it('runs as one pass what waits at one moment, and gives each what it would get alone', async () => {
    const requests = [
      alone('a', 1), alone('b', 2, { ...LOW_RANK, rank: 7 }), request('c'), alone('d', 4, LINEAR), alone('e', 5, LOW_RANK, partOf(batch, 2, lengthOf(batch) - 3)), alone('f', 6, LINEAR, partOf(batch, 1, 4))
    ]
    const queue = new PassQueue(lent)
    const together = await Promise.all(requests.map(async own => await queue.pass(own, forever)))
    expect(passes.map(({ parts }) => parts.length)).to.deep.equal([6])
    for (const [i, own] of requests.entries()) expectSame(together[i], await queue.pass(own, forever))
    expect(passes.length).to.equal(7)
  })

  it('gives each the form that it wants, from one pass', async () => {
    const factors = (own: PassRequest): PassRequest => ({ ...own, wire: 'factors' })
    const merged = [memberOf('m', 9)]
    const inCollaboration = (seed: number): PassRequest => {
      const { own } = alone('n', seed).applied()
      return factors(request('n', { batch: partOf(batch, 1 + seed, 5), applied: () => ({ version: 'v', beside: [], merged, own: own! }) }))
    }
    for (const requests of [
      [factors(alone('a', 1)), alone('b', 2), factors(alone('c', 3, { ...LOW_RANK, rank: 13 }, partOf(batch, 1, 4))), alone('d', 4, LINEAR)],
      [factors(alone('a', 1)), factors(alone('b', 2, { ...LOW_RANK, rank: 1 }))],
      [inCollaboration(1), inCollaboration(2)]
    ]) {
      passes = []
      const queue = new PassQueue(lent)
      const together = await Promise.all(requests.map(async own => await queue.pass(own, forever)))
      expect(passes.map(({ parts }) => parts.length)).to.deep.equal([requests.length])
      for (const [i, own] of requests.entries()) {
        expectSame(together[i], await queue.pass(own, forever))
        expect([...together[i].data.values()].every(data => 'factors' in data === (own.wire === 'factors'))).to.equal(true)
      }
    }
  })

  it('joins none where the gradients of factors would take too much', async () => {
    const queue = new PassQueue(lent)
    const large = (job: string): PassRequest => ({ ...alone(job, 1, { ...LOW_RANK, rank: 1024 }, partOf(batch, 1, 4)), wire: 'factors' })
    await Promise.all([large('a'), large('b'), large('c')].map(async own => await queue.pass(own, forever)))
    expect(passes.map(({ parts }) => parts.length)).to.deep.equal([2, 1])
  })

  it('joins none that meet other weights, or want other sites', async () => {
    const queue = new PassQueue(lent)
    const merged = { version: 'v', beside: [], merged: [memberOf('m', 1)] }
    await Promise.all([
      queue.pass(request('a'), forever),
      queue.pass(request('b', { applied: () => merged }), forever),
      queue.pass(request('b', { applied: () => merged }), forever),
      queue.pass(request('c', { sites: [] }), forever),
      queue.pass(request('c', { applied: () => merged }), forever)
    ])
    expect(passes.map(({ parts, merged, sites }) => [parts.length, merged?.state ?? null, sites.length > 0])).to.have.deep.members([
      [1, null, true], [2, 'b/v', true], [1, null, false], [1, 'c/v', true]
    ])
  })

  it('joins none of one trainer in one job, and runs these in the order in which they came', async () => {
    const queue = new PassQueue(lent)
    const order: number[] = []
    await Promise.all([1, 2, 3, 4].map(async (seed, i) => {
      await queue.pass({ ...alone('a', seed), trainer: i === 3 ? 'other' : 'one' }, forever)
      order.push(seed)
    }))
    expect(passes.map(({ parts }) => parts.length)).to.deep.equal([2, 1, 1])
    expect(order).to.deep.equal([1, 4, 2, 3])

    passes = []
    await Promise.all(['a', 'b'].map(async job => await queue.pass({ ...alone(job, 1), trainer: 'one' }, forever)))
    expect(passes.map(({ parts }) => parts.length)).to.deep.equal([2])
  })

  it('merges what a pass meets, and goes back to θ', async () => {
    const queue = new PassQueue(lent)
    const before = await queue.pass(request('a'), forever)
    const apart = await queue.pass(alone('m', 3), forever)
    expectSame(await queue.pass(request('b', { applied: () => ({ version: 'v', beside: [], merged: [memberOf('m', 3)] }) }), forever), apart)
    expect(Math.abs(apart.loss - before.loss)).to.be.above(1e-3)
    expectSame(await queue.pass(request('a'), forever), before)
  })

  it('lets none fail for another\'s sake', async () => {
    const queue = new PassQueue(lent)
    const broken = alone('broken', 2)
    for (const tensors of broken.applied().own!.adapter.values()) for (const { values } of tensors.values()) values.fill(3e38)
    const [good, bad, other] = await Promise.allSettled([alone('a', 1), broken, alone('b', 3)].map(async own => await queue.pass(own, forever)))
    expect([good.status, bad.status, other.status]).to.deep.equal(['fulfilled', 'rejected', 'fulfilled'])
    expect((bad as PromiseRejectedResult).reason).to.have.property('name', 'NonFiniteError')
  })

  it('tells the one whose state cannot be had, and runs the others', async () => {
    const queue = new PassQueue(lent)
    const broken = request('broken', { applied: () => { throw new Error('no state') } })
    const [bad, good] = await Promise.allSettled([broken, request('a')].map(async own => await queue.pass(own, forever)))
    expect((bad as PromiseRejectedResult).reason).to.have.property('message', 'no state')
    expect(good.status).to.equal('fulfilled')
  })

  it('serves first the job that has had least', async () => {
    const queue = new PassQueue(lent)
    const order: string[] = []
    const ask = async (job: string, sites: string[]): Promise<void> => {
      await queue.pass(request(job, { sites }), forever)
      order.push(job)
    }
    const [one, two] = siteNames() // different sites, so that each is a pass of its own
    await Promise.all([ask('greedy', [one]), ask('greedy', [two]), ask('greedy', []), ask('modest', [one, two])])
    expect(order.indexOf('modest')).to.be.at.most(1)
  })

  it('does not run what nobody waits for any more', async () => {
    const queue = new PassQueue(lent)
    const leaving = new AbortController()
    const first = queue.pass(request('a', { sites: [] }), forever)
    const left = failureOf(queue.pass(request('b'), leaving.signal))
    leaving.abort(new Error('left'))
    expect((await left).message).to.equal('left')
    await first
    await queue.pass(request('c', { sites: [] }), forever)
    expect(passes.map(({ sites }) => sites.length)).to.deep.equal([0, 0])
  })

  it('holds those that are to be one pass until all are there, whatever comes meanwhile', async () => {
    const queue = new PassQueue(lent)
    const together = { id: 'peer/0', size: 2 }
    const first = queue.pass(request('a', { together }), forever)
    const other = await queue.pass(request('b', { sites: [] }), forever)
    const second = queue.pass(request('c', { together }), forever)
    expect((await Promise.all([first, second])).map(({ shared }) => shared)).to.deep.equal([2, 2])
    expect(other.shared).to.equal(1)
    expect(passes.map(({ parts }) => parts.length)).to.deep.equal([1, 2])
  })

  it('runs those alone whose others do not come', async () => {
    const queue = new PassQueue(lent)
    const { shared, timings: { queued } } = await queue.pass(request('a', { together: { id: 'peer/0', size: 2 } }), forever)
    expect(shared).to.equal(1)
    expect(queued).to.be.at.least(999)
  })

  it('tells those who come when too many wait to come again', async () => {
    const queue = new PassQueue(lent)
    const leaving = Array.from({ length: 256 }, () => new AbortController())
    const waiting = leaving.map(async ({ signal }, i) => await queue.pass(request(`job ${i}`, { sites: [] }), signal).catch(() => undefined))
    expect(await failureOf(queue.pass(request('late'), forever))).to.have.property('name', 'HostBusyError')
    for (const one of leaving) one.abort()
    await Promise.all(waiting)
    await queue.pass(request('later', { sites: [] }), forever)
  })
})
