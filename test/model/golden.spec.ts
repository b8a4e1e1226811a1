import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { BaseModel } from '../../src/model/base-model.js'
import { floatTensor } from '../../src/tensor/safetensors.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readBatch, readTensors } from '../support/fixtures.js'

describe('GPT-2 against PyTorch', () => {
  before(async () => { await startBackend() })

  for (const name of ['gpt2-odd', 'gpt2-sharded', 'gpt2-half']) {
    it(`gives the loss, the logits, and x and ∇ĥ at every site of ${name}`, async () => {
      const model = await BaseModel.load(join(FIXTURES, name))
      const golden = await readTensors(name, 'golden.safetensors')
      const before = tf.memory().numTensors
      const result = await model.pass(await readBatch(name), { sites: model.sites, logits: true })
      expect(tf.memory().numTensors).to.equal(before)
      expect(relativeError([result.loss], floatTensor(golden, 'loss').values)).to.be.below(1e-5)
      expect(relativeError(result.logits!.values, floatTensor(golden, 'logits').values)).to.be.below(1e-5)
      expect([...result.data.keys()]).to.deep.equal(model.sites.map(site => site.name))
      for (const [site, { x, gradient }] of result.data) {
        expect(relativeError(x.values, floatTensor(golden, `x.${site}`).values), `x.${site}`).to.be.below(1e-5)
        expect(relativeError(gradient.values, floatTensor(golden, `grad.${site}`).values), `grad.${site}`).to.be.below(1e-4)
      }
      model.dispose()
    })
  }
})
