import { join } from 'node:path'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect } from 'chai'
import { isMergeable } from '../../../src/auxiliary-spec.js'
import { readAdapters } from '../../../src/gl/peft/read-adapter.js'
import { type Job, specsOf } from '../../../src/job.js'
import { meanOfParameters } from '../../../src/merge/mean-of-parameters.js'
import type { Weighted } from '../../../src/merge/weighted.js'
import type { ModelInfo } from '../../../src/model/base-model.js'
import { type JoinedJob, Jobs } from '../../../src/node/jobs.js'
import { type Outcome, outcomeOf, writeOutcome } from '../../../src/node/trainer/outcome.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import type { AuxiliaryKind, Mode, Site } from '../../../src/types.js'
import { withFolder } from '../../data/folder.js'
import { randomAdapter, SITES } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { meanProductAt, sharesAt } from '../../merge/reference.js'
import { soon } from '../../protocols/nodes.js'
import { relativeError } from '../../support/compare.js'
import { jobOf } from '../author.js'

const BASE: Pick<ModelInfo, 'name' | 'task' | 'sites' | 'fanInFanOut'> = { name: 'base', task: 'CAUSAL_LM', sites: SITES, fanInFanOut: false }

type Contribution = readonly [kind: AuxiliaryKind, tokens: number, sites?: readonly Site[]]

/** The members of a job once each has what all have contributed. */
async function membersOf (mode: Mode, ...contributions: readonly Contribution[]): Promise<JoinedJob[]> {
  const store = new BlobStore()
  const job: Job = { ...jobOf(mode), kinds: mode === 'joint' ? ['low-rank'] : ['low-rank', 'linear', 'mlp'], auxiliary: { rank: 2, alpha: 3, ranks: { [SITES[1].name]: 4 } } }
  const all: JoinedJob[] = []
  const records = []
  for (const [kind, tokens, sites = SITES] of contributions) {
    const jobs = new Jobs({ identity: await generateKeyPair('Ed25519'), store, log: error => { throw error as Error } })
    const joined = jobs.join(job, SITES)
    const spec = specsOf(job).find(own => own.kind === kind)!
    records.push(await joined.contribute(randomAdapter(spec, sites, seeded(tokens)), { tokens, final: true }))
    all.push(joined)
  }
  for (const { members } of all) {
    for (const record of records) await members.fetch(record, soon())
  }
  return all
}

/** Its sum at each site is the members' ΔW. */
function expectProducts ({ adapters }: Outcome, members: readonly Weighted[]): void {
  for (const site of SITES) {
    const parts = adapters.map(({ spec, tensors }) => meanProductAt([{ tokens: 1, spec, adapter: tensors }], site))
    const sum = parts.reduce((all, part) => all.map((value, i) => value + part[i]))
    const expected = meanProductAt(members, site)
    if (expected.every(value => value === 0)) expect(sum.every(value => value === 0)).to.be.true
    else expect(relativeError(sum, expected), site.name).to.be.below(1e-6)
  }
}

describe('what has come of a job', () => {
  it('is the own auxiliary where each trains alone', async () => {
    const all = await membersOf('alone', ['low-rank', 5], ['mlp', 3], ['linear', 0, SITES.slice(1)])
    const outcomes = all.map(outcomeOf)
    for (const [k, { adapters }] of outcomes.entries()) {
      const { members, peer } = all[k]
      const { spec, adapter } = members.held.find(own => own.peer === peer)!
      expect(adapters).to.deep.equal([{ spec, tensors: adapter }])
    }
    expect(new Set(outcomes.map(({ deltaHash }) => deltaHash)).size).to.equal(all.length)
  })

  const mixtures: Readonly<Record<string, readonly Contribution[]>> = {
    'low-rank': [['low-rank', 5], ['low-rank', 2]],
    'low-rank and linear': [['low-rank', 5], ['linear', 2], ['low-rank', 0]],
    'of some sites': [['low-rank', 5, SITES.slice(0, 2)], ['low-rank', 2, SITES.slice(1)]],
    'low-rank and MLPs': [['low-rank', 5], ['mlp', 3, SITES.slice(1)], ['low-rank', 1, SITES.slice(0, 1)], ['mlp', 2]],
    MLPs: [['mlp', 5], ['mlp', 5]]
  }
  for (const [what, contributions] of Object.entries(mixtures)) {
    it(`is in collaboration the mean product, and beside it what is none, with its share; the same for every member: ${what}`, async () => {
      const all = await membersOf('collaboration', ...contributions)
      const [first, ...others] = all.map(outcomeOf)
      const { held } = all[0].members
      for (const other of others) expect(other).to.deep.equal(first)
      expectProducts(first, held)
      expect(first.adapters.filter(({ spec }) => isMergeable(spec)).length).to.equal(contributions.some(([kind]) => kind !== 'mlp') ? 1 : 0)
      const beside = first.adapters.filter(({ spec }) => !isMergeable(spec))
      const perceptrons = held.filter(({ spec }) => spec.kind === 'mlp')
      expect(beside.map(({ tensors }) => tensors)).to.deep.equal(perceptrons.map(({ adapter }) => adapter))
      for (const [k, { spec, tensors }] of beside.entries()) {
        for (const site of tensors.keys()) expect(spec.alphas![site] / 3).to.be.closeTo(sharesAt(held, site)[held.indexOf(perceptrons[k])], 1e-15)
      }
    })
  }

  it('has another name where what is beside it is another, though ΔW is the same', async () => {
    const hashes = await Promise.all([3, 4].map(async tokens => outcomeOf((await membersOf('alone', ['mlp', tokens]))[0]).deltaHash))
    expect(new Set(hashes).size).to.equal(2)
  })

  it('is in a joint job the one that all have moved, of all sites that anyone has', async () => {
    const all = await membersOf('joint', ['low-rank', 5, SITES.slice(0, 2)], ['low-rank', 2, SITES.slice(1)])
    const [first, second] = all.map(outcomeOf)
    expect(second).to.deep.equal(first)
    const mean = meanOfParameters(all[0].members.held)
    expect([...mean.keys()]).to.have.members(SITES.map(({ name }) => name))
    expect(first.adapters).to.deep.equal([{ spec: specsOf(all[0].job)[0], tensors: mean }])
  })

  it('is read again as it was written, one or several', async () => {
    for (const contributions of [[['low-rank', 5], ['low-rank', 2]], [['linear', 5], ['mlp', 3]], [['mlp', 2]]] as const) {
      const outcome = outcomeOf((await membersOf('collaboration', ...contributions))[0])
      await withFolder({}, async folder => {
        await writeOutcome(join(folder, 'a'), outcome, BASE as ModelInfo)
        expect(await readAdapters(join(folder, 'a'))).to.deep.equal(outcome.adapters.map(({ spec, tensors }) => ({ spec, tensors })))
      })
    }
  })
})
