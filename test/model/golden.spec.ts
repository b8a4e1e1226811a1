import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { passTensors } from '../../src/cli/pass-tensors.js'
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

const CASES = [
  'gpt2-odd', 'gpt2-sharded', 'gpt2-half', 'llama-plain', 'llama-grouped', 'llama-linear', 'mistral', 'qwen2', 'qwen3',
  'bert-odd', 'bert-regression', 'bert-half', 'roberta', 'roberta-regression', 'bart', 'bart-scaled', 't5', 't5-gated',
  'vit', 'vit-grey', 'linear', 'mlp', 'cnn'
]

describe('base models against PyTorch', () => {
  for (const name of CASES) {
    for (const [engine, open] of Object.entries(ENGINES)) {
      it(`gives the loss, the logits, and x and ∇ĥ at every site of ${name}, ${engine}`, async () => {
        const model = await BaseModel.load(join(FIXTURES, name), open)
        const golden = await readTensors(name, 'golden.safetensors')
        const before = tf.memory().numTensors
        const batch = await readBatch(name)
        const [result] = await model.pass([batch], { sites: model.info.sites, logits: true })
        expect(tf.memory().numTensors).to.equal(before)
        expect(relativeError([result.loss], floatTensor(golden, 'loss').values)).to.be.below(1e-5)
        const logits = floatTensor(golden, 'logits')
        expect(result.logits!.shape).to.deep.equal(logits.shape)
        expect(relativeError(result.logits!.values, logits.values)).to.be.below(1e-5)
        expect([...result.pairs.keys()]).to.deep.equal(model.info.sites.map(site => site.name))
        const ours = passTensors(result, batch, model.info.sites)
        expect([...ours.keys()].sort()).to.deep.equal([...golden.keys()].sort()) // every linear and convolution module is a site
        for (const [tensor, { shape, values }] of ours) {
          const expected = floatTensor(golden, tensor)
          expect(shape, tensor).to.deep.equal(expected.shape)
          expect(relativeError(values, expected.values), tensor).to.be.below(tensor.startsWith('grad.') ? 1e-4 : 1e-5)
        }
        await model.dispose()
      })
    }
  }
})
