import { expect } from 'chai'
import { type Job, jobId } from '../src/job.js'

const JOB: Job = {
  name: 'cooking',
  model: '0'.repeat(63) + 'a',
  sites: ['transformer.h.0.attn.c_attn', 'transformer.h.1.attn.c_attn'],
  auxiliary: { kind: 'low-rank', rank: 8, alpha: 16 },
  mode: 'alone',
  interval: 4,
  seed: 7
}

describe('jobId', () => {
  it('is the same in every version of this program', () => {
    expect(jobId(JOB)).to.equal('3f6fc0253454d4c986f1690e58d373bd645da58d003b4427bb85b522021572c2')
  })

  it('does not depend on the order of keys or sites', () => {
    const { auxiliary: { kind, rank, alpha }, sites, ...rest } = JOB
    const turned: Job = { sites: [...sites].reverse(), auxiliary: { alpha, rank, kind }, ...Object.fromEntries(Object.entries(rest).reverse()) as typeof rest }
    expect(Object.keys(turned)).to.not.deep.equal(Object.keys(JOB))
    expect(jobId(turned)).to.equal(jobId(JOB))
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
      { ...JOB, auxiliary: { ...JOB.auxiliary, kind: 'linear' } },
      { ...JOB, auxiliary: { ...JOB.auxiliary, rank: 16 } },
      { ...JOB, auxiliary: { ...JOB.auxiliary, alpha: 8.5 } },
      { ...JOB, mode: 'joint' },
      { ...JOB, interval: 5 },
      { ...JOB, seed: 8 }
    ]
    expect(new Set([JOB, ...others].map(jobId)).size).to.equal(others.length + 1)
  })
})
