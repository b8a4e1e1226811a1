import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import { GradientLearner } from '../../src/gl/gradient-learner.js'
import { Optimizer, type OptimizerKind } from '../../src/gl/optimizer.js'
import { readAdapter } from '../../src/gl/peft/read-adapter.js'
import { createSchedule, type ScheduleKind } from '../../src/gl/schedule.js'
import { selectSites } from '../../src/model/sites.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { floatTensor } from '../../src/tensor/safetensors.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readBatch, readJson, readTensors } from '../support/fixtures.js'

/** Twelve steps of PEFT's LoRA, DoRA or (IA)³ by back-propagation, see scripts/fixtures.py. */
interface Curve {
  /** The fixture that is its base model. */
  readonly base: string
  readonly sites: readonly string[]
  readonly optimizer: OptimizerKind
  readonly lr: number
  readonly weight_decay: number
  readonly schedule: ScheduleKind
  readonly losses: readonly number[]
  readonly rates: readonly number[]
  readonly norms: readonly number[]
}

describe('gl: Gradient Learning against PEFT', () => {
  before(async () => { await startBackend() })

  for (const name of ['adamw', 'adamw-both', 'sgd', 'embedding', 'llama', 'bert', 'bert-classifier', 'bart', 't5', 'vit', 'ia3', 'ia3-bert', 'dora', 'dora-bert', 'dora-llama']) {
    it(`follows PEFT's curve to PEFT's weights, ${name}`, async () => {
      const curve = await readJson('peft', name, 'curve.json') as Curve
      const { spec, tensors } = await readAdapter(join(FIXTURES, 'peft', name, 'start'))
      const model = await LocalModel.open(join(FIXTURES, curve.base), {}, () => {})
      const batch = await readBatch(curve.base)
      const sites = selectSites(model.info, curve.sites)
      expect([...tensors.keys()]).to.have.members(sites.map(site => site.name))

      const before = tf.memory().numTensors
      const auxiliaries = new Map(sites.map(site => [site.name, new Auxiliary(spec, site, { tensors: tensors.get(site.name)! })]))
      const learner = new GradientLearner({
        auxiliaries: [...auxiliaries.values()],
        optimizer: new Optimizer(curve.optimizer, curve.weight_decay),
        schedule: createSchedule({ kind: curve.schedule, rate: curve.lr, fits: curve.losses.length }),
        interval: 1,
        ...(curve.optimizer === 'sgd' ? { maxNorm: 1 } : {})
      })
      const [losses, rates, norms] = [[], [], []] as number[][]
      for (let step = 0; step < curve.losses.length; step++) {
        const adapter = await learner.adapter()
        const [{ loss, data }] = await model.pass({ parts: [{ batch, beside: [{ spec, tensors: adapter }], fitted: { spec, adapter } }], sites: sites.map(site => site.name), merged: null })
        for (const [site, own] of data) learner.gather(site, own)
        learner.endBatch()
        const fit = await learner.fit()
        losses.push(loss)
        rates.push(fit!.rate)
        norms.push(fit!.norm)
      }

      for (const [i, loss] of curve.losses.entries()) {
        expect(Math.abs(losses[i] - loss) / loss, `loss ${i}`).to.be.below(1e-5)
        expect(Math.abs(norms[i] - curve.norms[i]) / curve.norms[i], `norm ${i}`).to.be.below(1e-5)
        expect(rates[i], `rate ${i}`).to.be.closeTo(curve.rates[i], 1e-12)
      }
      const end = await readTensors('peft', name, 'end.safetensors')
      const adapter = await learner.adapter()
      expect(end.size).to.equal([...adapter.values()].reduce((sum, own) => sum + own.size, 0))
      for (const { name: site, embedding = false } of sites) {
        for (const [parameter, { values }] of adapter.get(site)!) {
          const stored = embedding ? parameter.replace(/lora_(.)\.weight/, 'lora_embedding_$1') : parameter
          const expected = floatTensor(end, `${site}.${stored}`).values
          expect(relativeError(values, expected), `${site}.${parameter}`).to.be.below(1e-5)
        }
      }
      learner.dispose()
      expect(tf.memory().numTensors).to.equal(before)
      await model.dispose()
    })
  }
})
