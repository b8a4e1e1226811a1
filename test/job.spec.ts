import { expect } from 'chai'
import { type Job, jobId, specsOf } from '../src/job.js'

const JOB: Job = {
  name: 'cooking',
  model: '0'.repeat(63) + 'a',
  sites: ['transformer.h.0.attn.c_attn', 'transformer.h.1.attn.c_attn'],
  auxiliary: { rank: 8, alpha: 16 },
  kinds: ['low-rank'],
  mode: 'alone',
  merge: 'never',
  interval: 4,
  seed: 7
}

const JOB_BY_SITE = {
  ...JOB,
  auxiliary: { rank: 8, alpha: 16, ranks: { 'transformer.h.1.attn.c_attn': 4, 'transformer.h.0.attn.c_attn': 2 }, alphas: { 'transformer.h.0.attn.c_attn': 2, 'transformer.h.1.attn.c_attn': 1 }, rankStabilised: true }
} satisfies Job

/** The same with its keys in the other order. */
function reversed<T extends object> (value: T): T {
  return Object.fromEntries(Object.entries(value).reverse()) as T
}

describe('jobId', () => {
  it('is the same in every version of this program', () => {
    expect(jobId(JOB)).to.equal('4de88dd49ded0ce35a5f9c46901e48c1e047199719d1661c6891126e6f94f979')
  })

  it('does not depend on the order of keys or sites', () => {
    const { auxiliary, sites, ...rest } = JOB_BY_SITE
    const turned: Job = { sites: [...sites].reverse(), auxiliary: reversed({ ...auxiliary, ranks: reversed(auxiliary.ranks), alphas: reversed(auxiliary.alphas) }), ...reversed(rest) }
    expect(Object.keys(turned)).to.not.deep.equal(Object.keys(JOB_BY_SITE))
    expect(Object.keys(turned.auxiliary.ranks!)).to.not.deep.equal(Object.keys(auxiliary.ranks))
    expect(jobId(turned)).to.equal(jobId(JOB_BY_SITE))
  })

  it('is the same whether what is usual is said or left out', () => {
    expect(jobId({ ...JOB, auxiliary: { ...JOB.auxiliary, ranks: {}, alphas: {}, rankStabilised: false } })).to.equal(jobId(JOB))
    expect(jobId({ ...JOB, quorum: 1 })).to.equal(jobId(JOB))
  })

  it('leaves the job as it is', () => {
    const sites = Object.freeze(['b', 'a'])
    jobId({ ...JOB, sites })
    expect(sites).to.deep.equal(['b', 'a'])
  })

  it('does not depend on what is no part of a job', () => {
    expect(jobId({ ...JOB, remark: 'mine' } as Job)).to.equal(jobId(JOB))
  })

  it('differs when any field does', () => {
    const others: Job[] = [
      { ...JOB, name: 'cooking ' },
      { ...JOB, model: '0'.repeat(63) + 'b' },
      { ...JOB, sites: JOB.sites.slice(1) },
      { ...JOB, sites: [JOB.sites.join(',')] },
      { ...JOB, kinds: ['linear'] },
      { ...JOB, quorum: 0.5 },
      { ...JOB, kinds: ['low-rank', 'linear'] },
      { ...JOB, kinds: ['low-rank', 'linear', 'mlp'] },
      { ...JOB, auxiliary: { ...JOB.auxiliary, rank: 16 } },
      { ...JOB, auxiliary: { ...JOB.auxiliary, alpha: 8.5 } },
      { ...JOB, auxiliary: { ...JOB.auxiliary, ranks: { 'transformer.h.0.attn.c_attn': 4 } } },
      { ...JOB, auxiliary: { ...JOB.auxiliary, ranks: { 'transformer.h.1.attn.c_attn': 4 } } },
      { ...JOB, auxiliary: { ...JOB.auxiliary, alphas: { 'transformer.h.0.attn.c_attn': 4 } } },
      { ...JOB, auxiliary: { ...JOB.auxiliary, rankStabilised: true } },
      { ...JOB, mode: 'joint' },
      { ...JOB, merge: 'during' },
      { ...JOB, merge: 'after' },
      { ...JOB, interval: 5 },
      { ...JOB, seed: 8 }
    ]
    expect(new Set([JOB, ...others].map(jobId)).size).to.equal(others.length + 1)
  })
})

describe('the auxiliaries that members of a job may have', () => {
  it('are one of each kind, of the shape that the job says', () => {
    expect(specsOf(JOB)).to.deep.equal([{ kind: 'low-rank', rank: 8, alpha: 16 }])
    expect(specsOf({ ...JOB_BY_SITE, kinds: ['mlp', 'low-rank'] })).to.deep.equal([{ kind: 'mlp', ...JOB_BY_SITE.auxiliary }, { kind: 'low-rank', ...JOB_BY_SITE.auxiliary }])
  })
})
