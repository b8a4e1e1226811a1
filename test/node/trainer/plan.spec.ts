import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { OPTIMIZERS } from '../../../src/gl/optimizer.js'
import { specsOf } from '../../../src/job.js'
import { parseTrainOptions } from '../../../src/node/trainer/options.js'
import { createLearner, type Plan, RATES, runId } from '../../../src/node/trainer/plan.js'
import { randomData, SITES } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
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
    })
  })
})
