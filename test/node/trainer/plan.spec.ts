import { join } from 'node:path'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { OPTIMIZERS } from '../../../src/gl/optimizer.js'
import { writeAdapter } from '../../../src/gl/peft/write-adapter.js'
import { jobId, specsOf } from '../../../src/job.js'
import { describeModel, type ModelInfo } from '../../../src/model/base-model.js'
import { parseTrainOptions } from '../../../src/node/trainer/options.js'
import { createLearner, type Plan, planOf, RATES, runId } from '../../../src/node/trainer/plan.js'
import { AUXILIARY_KINDS, type AuxiliarySpec, MERGES } from '../../../src/types.js'
import { rejection, withFolder } from '../../data/folder.js'
import { randomAdapter, randomData, SITES } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { FIXTURES } from '../../support/fixtures.js'
import { adapterOf, jobOf } from '../author.js'

const JOB = jobOf('alone')
const PLAN: Plan = { job: JOB, sites: SITES, auxiliary: specsOf(JOB)[0], fitted: SITES, start: undefined }
const GIVEN = { model: 'models/tiny', data: ['texts'] }

type Given = Parameters<typeof parseTrainOptions>[0]

describe('what a trainer is going to do', () => {
  before(async () => { await startBackend() })

  for (const optimizer of OPTIMIZERS) {
    for (const lr of [undefined, 0.7]) {
      it(`is to fit with ${optimizer} at ${lr ?? 'its own'} rate`, async () => {
        const learner = createLearner(parseTrainOptions({ ...GIVEN, optimizer, schedule: 'constant', lr }), PLAN)
        for (const [site, data] of randomData(SITES, 2, seeded(1))) learner.gather(site, data)
        learner.endBatch()
        expect((await learner.fit())!.rate).to.equal(lr ?? RATES[optimizer])
        learner.dispose()
      })
    }
  }

  describe('has another name where its numbers may be others:', () => {
    const of = (given: Partial<Given>, plan = PLAN, data = 'a'): string => runId(parseTrainOptions({ ...GIVEN, ...given }), plan, data)
    const usual: Partial<Given> = { maxGradNorm: 2 }
    const others: Record<string, string> = {
      optimizer: of({ ...usual, optimizer: 'lion' }),
      rate: of({ ...usual, lr: 0.1 }),
      'weight decay': of({ ...usual, weightDecay: 0 }),
      schedule: of({ ...usual, schedule: 'cosine' }),
      'warm-up': of({ ...usual, warmup: 0.5 }),
      norm: of({ maxGradNorm: 3 }),
      'no norm': of({}),
      'whose norm': of({ ...usual, clip: 'auxiliary' }),
      'batch size': of({ ...usual, batchSize: 3 }),
      'grouping by length': of({ ...usual, groupByLength: true }),
      steps: of({ ...usual, steps: 7 }),
      wire: of({ ...usual, wire: 'bf16' }),
      'steps that run ahead of what is fitted': of({ ...usual, ahead: 2, stale: 'decay' }),
      'by more': of({ ...usual, ahead: 3, stale: 'decay' }),
      job: of(usual, { ...PLAN, job: { ...PLAN.job, seed: 8 } }),
      start: of(usual, { ...PLAN, start: adapterOf(1) }),
      data: of(usual, PLAN, 'b')
    }
    for (const [what, id] of Object.entries(others)) {
      it(what, () => {
        expect(id).to.not.equal(of(usual))
        expect(Object.values(others).filter(other => other === id)).to.have.lengthOf(1)
      })
    }

    it('and the same where they are the same', () => {
      expect(of({ ...usual, patience: 3, out: 'elsewhere', clip: 'global' })).to.equal(of(usual))
      expect(of({ ...usual, ahead: 3, stale: 'refuse' })).to.equal(of(usual))
      expect(of({ ...usual, fitThreads: 3 })).to.equal(of(usual))
      expect(of({ ...usual, ahead: 0, stale: 'decay' })).to.equal(of(usual))
    })
  })
})

describe('the plan of a trainer', () => {
  /** Of `transformer.h.0` and `h.1`, in the job's order. */
  const [ATTN_0, MLP_0, ATTN_1, MLP_1] = ['h.0.attn.c_attn', 'h.0.mlp.c_proj', 'h.1.attn.c_attn', 'h.1.mlp.c_proj'].map(name => `transformer.${name}`)
  const SELECTED = { sites: ['c_attn', 'mlp.c_proj'] }
  let model: ModelInfo

  before(async () => { model = await describeModel(join(FIXTURES, 'gpt2-odd')) })

  const of = async (given: Partial<Given>): Promise<Plan> => await planOf(parseTrainOptions({ ...GIVEN, ...SELECTED, ...given }), model)

  async function expectRefused (given: Partial<Given>, name: string, ...words: string[]): Promise<void> {
    const error = await rejection(of(given))
    expect(error, JSON.stringify(given)).to.have.property('name', name)
    for (const word of words) expect(error!.message, JSON.stringify(given)).to.include(word)
  }

  it('is LoRA of rank 8 at every site unless told otherwise', async () => {
    const { job, auxiliary, fitted, sites } = await of({})
    expect(job).to.deep.include({ kinds: ['low-rank'], auxiliary: { rank: 8, alpha: 8 }, mode: 'alone', merge: 'never' })
    expect(job.sites).to.deep.equal([ATTN_0, MLP_0, ATTN_1, MLP_1])
    expect(auxiliary).to.deep.equal({ kind: 'low-rank', rank: 8, alpha: 8 })
    expect(fitted).to.deep.equal(sites)
  })

  it('merges during training in collaboration and else never, unless told otherwise', async () => {
    for (const mode of ['alone', 'joint'] as const) expect((await of({ mode })).job.merge).to.equal('never')
    expect((await of({ mode: 'collaboration' })).job.merge).to.equal('during')
    for (const merge of MERGES) {
      for (const mode of ['alone', 'joint', 'collaboration'] as const) expect((await of({ mode, merge })).job.merge).to.equal(merge)
    }
  })

  describe('of a mixture', () => {
    it('is of all kinds, and its own of the first, or of the one that it chooses: one job', async () => {
      const plans = await Promise.all([undefined, 'low-rank', 'linear', 'mlp'].map(async ownAux => await of({ aux: 'low-rank~linear~mlp', ownAux: ownAux as Given['ownAux'] })))
      expect(plans.map(({ auxiliary: { kind } }) => kind)).to.deep.equal(['low-rank', 'low-rank', 'linear', 'mlp'])
      for (const { job } of plans) expect(job.kinds).to.deep.equal(['low-rank', 'linear', 'mlp'])
      expect(new Set(plans.map(({ job }) => jobId(job))).size).to.equal(1)
      const names = plans.map(plan => runId(parseTrainOptions(GIVEN), plan, 'a'))
      expect(new Set(names).size, 'one name for each kind').to.equal(3)
    })

    it('is refused where its own kind is none of it', async () => {
      await expectRefused({ aux: 'low-rank~linear', ownAux: 'mlp' }, 'InvalidOptionError', 'mlp', 'low-rank~linear')
      await expectRefused({ aux: 'low-rank', ownAux: 'linear' }, 'InvalidOptionError', 'linear', 'low-rank')
    })

    it('is refused in a joint job, in which all move one', async () => {
      await expectRefused({ aux: 'low-rank~linear', mode: 'joint' }, 'InvalidOptionError', 'low-rank~linear', 'collaboration')
      for (const aux of AUXILIARY_KINDS) expect((await of({ aux, mode: 'joint' })).job.kinds).to.deep.equal([aux])
    })

    it('is refused of no kind, of a kind twice, and of one that there is not', () => {
      for (const aux of ['', '~', 'low-rank~', '~linear', 'low-rank~low-rank', 'low-rank~cubic', 'low-rank linear']) {
        expect(() => parseTrainOptions({ ...GIVEN, aux }), aux).to.throw().with.property('name', 'InvalidOptionError')
      }
    })
  })

  it('is refused where an MLP is to be merged, but for a collaboration, in which it stays beside', async () => {
    for (const merge of ['during', 'after'] as const) {
      for (const mode of ['alone', 'joint'] as const) await expectRefused({ aux: 'mlp', mode, merge }, 'InvalidOptionError', 'mlp', '--merge never')
      await expectRefused({ aux: 'low-rank~mlp', mode: 'alone', merge }, 'InvalidOptionError', 'mlp', '--merge never')
      expect((await of({ aux: 'low-rank~mlp', mode: 'collaboration', merge })).job.merge).to.equal(merge)
      expect((await of({ aux: 'low-rank~linear', mode: 'alone', merge })).job.merge).to.equal(merge)
    }
    expect((await of({ aux: 'mlp' })).job.kinds).to.deep.equal(['mlp'])
  })

  it('is refused where what a module gives by itself is wanted, and something is merged into it', async () => {
    for (const aux of ['low-rank~ia3', 'dora~linear']) {
      for (const merge of ['during', 'after'] as const) await expectRefused({ aux, mode: 'collaboration', merge }, 'InvalidOptionError', aux.includes('ia3') ? 'ia3' : 'dora', '--merge never')
      expect((await of({ aux, mode: 'collaboration', merge: 'never' })).job.kinds).to.deep.equal(aux.split('~'))
    }
    expect((await of({ aux: 'ia3~dora', mode: 'collaboration' })).job.merge).to.equal('during') // nothing is
  })

  it('is refused where there are no auxiliaries of its kind at a site', async () => {
    for (const aux of ['ia3', 'dora', 'low-rank~dora']) await expectRefused({ aux, sites: ['wte', 'c_attn'] }, 'InvalidOptionError', 'wte')
  })

  it('has a dropout, where nothing is merged in training and all have an x to drop values of', async () => {
    const { job, auxiliary } = await of({ dropout: 0.25, merge: 'after' })
    expect([job.auxiliary.dropout, auxiliary.dropout]).to.deep.equal([0.25, 0.25])
    expect(jobId(job)).to.not.equal(jobId((await of({ merge: 'after' })).job))
    expect(jobId((await of({ dropout: 0, merge: 'after' })).job)).to.equal(jobId((await of({ merge: 'after' })).job))
    await expectRefused({ dropout: 0.25, merge: 'during' }, 'InvalidOptionError', '0.25', '--merge never')
    await expectRefused({ dropout: 0.25, mode: 'collaboration' }, 'InvalidOptionError', '0.25', '--merge never')
    await expectRefused({ dropout: 0.25, aux: 'ia3' }, 'InvalidOptionError', 'ia3')
    for (const dropout of [-0.1, 1, NaN]) expect(() => parseTrainOptions({ ...GIVEN, dropout }), `${dropout}`).to.throw().with.property('name', 'InvalidOptionError')
  })

  it('has a quorum, where it has members', async () => {
    expect((await of({ quorum: 0.75, mode: 'joint' })).job.quorum).to.equal(0.75)
    expect((await of({ mode: 'joint' })).job).to.not.have.property('quorum')
    for (const given of [{ quorum: 0.75 }, { quorum: 0, mode: 'joint' }, { quorum: 1.1, mode: 'joint' }] as const) {
      expect(() => parseTrainOptions({ ...GIVEN, ...given }), JSON.stringify(given)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })

  describe('with ranks and alphas by pattern', () => {
    it('has them by the full names of sites, from the first pattern that matches', async () => {
      const { job, auxiliary } = await of({ rank: 4, alpha: 2, rankPattern: { 'h.1.attn.c_attn': 3, c_attn: 16 }, alphaPattern: { 'transformer\\.h\\.0\\..*': 5 }, rslora: true })
      expect(job.auxiliary).to.deep.equal({ rank: 4, alpha: 2, ranks: { [ATTN_0]: 16, [ATTN_1]: 3 }, alphas: { [ATTN_0]: 5, [MLP_0]: 5 }, rankStabilised: true })
      expect(auxiliary).to.deep.equal({ kind: 'low-rank', ...job.auxiliary })
    })

    it('is refused where one matches no site, or is no pattern', async () => {
      for (const pattern of ['c_fc', 'attn', 'h.2.attn.c_attn', '(']) {
        await expectRefused({ rankPattern: { c_attn: 2, [pattern]: 4 } }, 'UnknownSiteError', pattern)
        await expectRefused({ alphaPattern: { [pattern]: 4 } }, 'UnknownSiteError', pattern)
      }
    })

    it('is refused where a rank or an alpha is not possible', () => {
      for (const rank of [0, -1, 1.5, NaN]) expect(() => parseTrainOptions({ ...GIVEN, rankPattern: { c_attn: rank } })).to.throw().with.property('name', 'InvalidOptionError')
      for (const alpha of [0, -1, NaN, Infinity]) expect(() => parseTrainOptions({ ...GIVEN, alphaPattern: { c_attn: alpha } })).to.throw().with.property('name', 'InvalidOptionError')
    })

    it('fits auxiliaries of those ranks', async () => {
      const plan = await of({ rank: 2, rankPattern: { c_attn: 5 } })
      const learner = createLearner(parseTrainOptions({ ...GIVEN }), plan)
      const adapter = await learner.adapter()
      expect([...adapter].map(([site, own]) => [site, own.get('lora_A.weight')!.shape[0]])).to.deep.equal([[ATTN_0, 5], [MLP_0, 2], [ATTN_1, 5], [MLP_1, 2]])
      learner.dispose()
    })
  })

  describe('that fits some sites', () => {
    it('fits them in the job\'s order, and is of the same job as that of those who fit the others', async () => {
      const [first, second, all] = [await of({ fitSites: ['h.1.mlp.c_proj', 'h.0.attn.c_attn'] }), await of({ fitSites: ['h.0.mlp.c_proj', 'h.1.attn.c_attn'] }), await of({})]
      expect(first.fitted.map(({ name }) => name)).to.deep.equal([ATTN_0, MLP_1])
      expect(second.fitted.map(({ name }) => name)).to.deep.equal([MLP_0, ATTN_1])
      expect(first.sites).to.deep.equal(all.sites)
      expect(new Set([first, second, all].map(({ job }) => jobId(job))).size).to.equal(1)
      expect(new Set([first, second, all].map(plan => runId(parseTrainOptions(GIVEN), plan, 'a'))).size).to.equal(3)
    })

    it('starts them as a trainer of all does', async () => {
      const adapters = await Promise.all([['h.0.attn.c_attn'], undefined].map(async fitSites => {
        const learner = createLearner(parseTrainOptions({ ...GIVEN, seed: 3 }), await of({ fitSites }))
        const adapter = await learner.adapter()
        learner.dispose()
        return adapter
      }))
      expect([...adapters[0].keys()]).to.deep.equal([ATTN_0])
      expect(adapters[0].get(ATTN_0)).to.deep.equal(adapters[1].get(ATTN_0))
    })

    it('is refused where they are no sites of the job, or of the model', async () => {
      await expectRefused({ fitSites: ['c_fc'] }, 'UnknownSiteError', 'c_fc')
      await expectRefused({ fitSites: ['c_attn', 'wte'] }, 'UnknownSiteError', 'wte')
      await expectRefused({ fitSites: ['q_proj'] }, 'UnknownSiteError', 'q_proj')
    })
  })

  describe('from an adapter', () => {
    const BY_SITE: AuxiliarySpec = { kind: 'low-rank', rank: 3, alpha: 2, ranks: { [ATTN_1]: 5 }, alphas: { [MLP_0]: 1 }, rankStabilised: true }

    async function withAdapterOf (spec: AuxiliarySpec, test: (given: { readonly adapter: string }) => Promise<void>): Promise<void> {
      await withFolder({}, async folder => {
        const { sites } = await of({})
        await writeAdapter(join(folder, 'a'), { spec, tensors: randomAdapter(spec, sites, seeded(1)) }, { ...model, sites })
        await test({ adapter: join(folder, 'a') })
      })
    }

    it('has its shape, its ranks and alphas by site', async () => {
      for (const spec of [BY_SITE, { ...BY_SITE, kind: 'linear' }, { ...BY_SITE, kind: 'mlp' }] as const) {
        await withAdapterOf(spec, async given => {
          const { auxiliary, job, start } = await of(given)
          expect(auxiliary).to.deep.equal(spec)
          expect(job.kinds).to.deep.equal([spec.kind])
          expect([...start!.keys()]).to.have.members(job.sites)
        })
      }
    })

    it('may be one of a mixture', async () => {
      await withAdapterOf({ ...BY_SITE, kind: 'linear' }, async given => {
        const { job, auxiliary } = await of({ ...given, aux: 'low-rank~linear' })
        expect(job.kinds).to.deep.equal(['low-rank', 'linear'])
        expect(auxiliary.kind).to.equal('linear')
        await expectRefused({ ...given, aux: 'low-rank~mlp' }, 'InvalidOptionError', 'linear')
        await expectRefused({ ...given, aux: 'low-rank~linear', ownAux: 'low-rank' }, 'InvalidAdapterError', 'linear')
      })
    })

    it('is refused where options say other ranks or alphas', async () => {
      await withAdapterOf(BY_SITE, async given => {
        for (const other of [{ rank: 4 }, { alpha: 3 }, { rankPattern: { c_attn: 5 } }, { alphaPattern: { c_attn: 5 } }, { rslora: true }, { ownAux: 'linear' }] as const) {
          await expectRefused({ ...given, ...other }, 'InvalidAdapterError', given.adapter)
        }
        expect((await of({ ...given, rank: 3, alpha: 2 })).auxiliary).to.deep.equal(BY_SITE)
      })
    })
  })
})
