import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { EagerEngine } from '../../src/engine/eager-engine.js'
import type { Weights } from '../../src/engine/engine.js'
import { OnnxEngine } from '../../src/engine/onnx/onnx-engine.js'
import { BaseModel } from '../../src/model/base-model.js'
import { floatTensor } from '../../src/tensor/safetensors.js'
import { relativeError } from '../support/compare.js'
import { FIXTURES, readBatch, readTensors } from '../support/fixtures.js'

const ENGINES = {
  compiled: async (weights: Weights) => await OnnxEngine.open(weights, { device: 'cpu' }),
  'op by op': async (weights: Weights) => await EagerEngine.open(weights)
}

const CASES = ['gpt2-odd', 'gpt2-sharded', 'gpt2-half', 'llama-plain', 'llama-grouped', 'llama-linear', 'mistral', 'qwen2', 'qwen3']

describe('base models against PyTorch', () => {
  for (const name of CASES) {
    for (const [engine, open] of Object.entries(ENGINES)) {
      it(`gives the loss, the logits, and x and ∇ĥ at every site of ${name}, ${engine}`, async () => {
        const model = await BaseModel.load(join(FIXTURES, name), open)
        const golden = await readTensors(name, 'golden.safetensors')
        const before = tf.memory().numTensors
        const [result] = await model.pass([await readBatch(name)], { sites: model.info.sites, logits: true })
        expect(tf.memory().numTensors).to.equal(before)
        expect(relativeError([result.loss], floatTensor(golden, 'loss').values)).to.be.below(1e-5)
        expect(relativeError(result.logits!.values, floatTensor(golden, 'logits').values)).to.be.below(1e-5)
        expect([...result.pairs.keys()]).to.deep.equal(model.info.sites.map(site => site.name))
        for (const [site, { x, gradient }] of result.pairs) {
          expect(relativeError(x.values, floatTensor(golden, `x.${site}`).values), `x.${site}`).to.be.below(1e-5)
          expect(relativeError(gradient.values, floatTensor(golden, `grad.${site}`).values), `grad.${site}`).to.be.below(1e-4)
        }
        await model.dispose()
      })
    }
  }
})
