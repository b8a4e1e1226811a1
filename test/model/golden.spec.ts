import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { passTensors } from '../../src/cli/pass-tensors.js'
import { EagerEngine } from '../../src/engine/eager-engine.js'
import type { Weights } from '../../src/engine/engine.js'
import { OnnxEngine } from '../../src/engine/onnx/onnx-engine.js'
import { BaseModel } from '../../src/model/base-model.js'
import { floatTensor, intTensor } from '../../src/tensor/safetensors.js'
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

/** Those whose embeddings are there too. */
const EMBEDDING_CASES = ['gpt2-odd', 'bert-odd', 't5']

describe('base models against PyTorch', () => {
  for (const name of CASES) {
    for (const [engine, open] of Object.entries(ENGINES)) {
      it(`gives the loss, the logits, and x and ∇ĥ at every site of ${name}, ${engine}`, async () => {
        const model = await BaseModel.load(join(FIXTURES, name), open)
        const golden = await readTensors(name, 'golden.safetensors')
        const before = tf.memory().numTensors
        const batch = await readBatch(name)
        const sites = model.info.sites.filter(({ embedding = false }) => !embedding)
        const [result] = await model.pass([batch], { sites, logits: true })
        expect(tf.memory().numTensors).to.equal(before)
        expect(relativeError([result.loss], floatTensor(golden, 'loss').values)).to.be.below(1e-5)
        const logits = floatTensor(golden, 'logits')
        expect(result.logits!.shape).to.deep.equal(logits.shape)
        expect(relativeError(result.logits!.values, logits.values)).to.be.below(1e-5)
        expect([...result.pairs.keys()]).to.deep.equal(sites.map(site => site.name))
        const ours = passTensors(result, batch, sites)
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

  for (const name of EMBEDDING_CASES) {
    for (const [engine, open] of Object.entries(ENGINES)) {
      it(`gives the tokens and ∇ĥ at every embedding of tokens of ${name}, ${engine}`, async () => {
        const model = await BaseModel.load(join(FIXTURES, name), open)
        const golden = await readTensors(name, 'golden-embeddings.safetensors')
        const before = tf.memory().numTensors
        const batch = await readBatch(name)
        const sites = model.info.sites.filter(({ embedding = false }) => embedding)
        const [result] = await model.pass([batch], { sites })
        expect(tf.memory().numTensors).to.equal(before)
        const ours = passTensors(result, batch, sites)
        expect(ours.size).to.equal(1 + 2 * sites.length)
        for (const { name: site } of sites) {
          expect(ours.get(`x.${site}`)).to.deep.equal(intTensor(golden, `x.${site}`))
          const expected = floatTensor(golden, `grad.${site}`)
          expect(ours.get(`grad.${site}`)!.shape).to.deep.equal(expected.shape)
          expect(relativeError(ours.get(`grad.${site}`)!.values, expected.values), site).to.be.below(1e-4)
        }
        await model.dispose()
      })
    }
  }
})
