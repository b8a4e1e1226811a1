import { expect } from 'chai'
import { networkOf } from '../../src/model/networks/registry.js'
import { randomWeights } from '../../src/model/random-weights.js'

const CNN = { model_type: 'cnn-classifier', num_channels: 3, image_size: 16, num_labels: 4, conv_channels: [64, 96], kernel_size: 3 }
const LLAMA = { model_type: 'llama', vocab_size: 97, hidden_size: 64, intermediate_size: 120, num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 16, attention_bias: true, initializer_range: 0.3 }
const GPT2 = { model_type: 'gpt2', vocab_size: 97, n_positions: 8, n_embd: 64, n_layer: 8, n_head: 4 }

function valuesOf (json: object, name: string, seed = 0): Float32Array {
  const { values } = randomWeights(json, '', seed).get(name)!
  return values
}

function mean (numbers: readonly number[]): number {
  return numbers.reduce((sum, value) => sum + value, 0) / numbers.length
}

function deviation (values: Float32Array): number {
  return Math.sqrt(mean([...values].map(value => value ** 2)))
}

describe('weights of a model that was never trained', () => {
  it('are those of its network, in their shapes', () => {
    for (const json of [CNN, LLAMA, GPT2]) {
      const expected = [...networkOf(json, '').network.weights]
      expect([...randomWeights(json, '', 0)].map(([name, { shape }]) => [name, shape])).to.deep.equal(expected)
    }
  })

  it('are uniform between ±1/√fan_in in our own, as PyTorch\'s layers begin', () => {
    for (const [name, fanIn] of [['convs.0.weight', 27], ['convs.0.bias', 27], ['convs.1.weight', 576], ['classifier.weight', 96]] as const) {
      const values = valuesOf(CNN, name)
      const bound = 1 / Math.sqrt(fanIn)
      expect(Math.max(...values.map(Math.abs)), name).to.be.within(bound * 0.9, bound)
      expect(Math.abs(mean([...values])), name).to.be.below(4 * bound / Math.sqrt(3 * values.length)) // standard errors
      expect(deviation(values), name).to.be.closeTo(bound / Math.sqrt(3), 2 * bound / Math.sqrt(values.length))
    }
  })

  it('are normal in those of transformers, but for biases, which are 0, and norms, which are 1', () => {
    const values = valuesOf(LLAMA, 'model.layers.1.mlp.up_proj.weight')
    expect(Math.abs(mean([...values]))).to.be.below(4 * 0.3 / Math.sqrt(values.length))
    expect(deviation(values)).to.be.closeTo(0.3, 4 * 0.3 / Math.sqrt(2 * values.length))
    expect(values.filter(value => Math.abs(value) < 0.3).length / values.length).to.be.closeTo(0.6827, 0.03) // within one standard deviation
    expect(new Set(valuesOf(LLAMA, 'model.layers.0.self_attn.q_proj.bias'))).to.deep.equal(new Set([0]))
    expect(new Set(valuesOf(LLAMA, 'model.norm.weight'))).to.deep.equal(new Set([1]))
  })

  it('are narrower in GPT-2 where a residual branch ends, by the root of their number', () => {
    const size = valuesOf(GPT2, 'transformer.h.3.mlp.c_proj.weight').length
    expect(deviation(valuesOf(GPT2, 'transformer.h.3.mlp.c_proj.weight'))).to.be.closeTo(0.02 / 4, 4 * 0.005 / Math.sqrt(2 * size))
    expect(deviation(valuesOf(GPT2, 'transformer.h.3.mlp.c_fc.weight'))).to.be.closeTo(0.02, 4 * 0.02 / Math.sqrt(2 * size))
  })

  it('are decided by the seed, and differ from one another', () => {
    expect(valuesOf(CNN, 'convs.0.weight', 1)).to.deep.equal(valuesOf(CNN, 'convs.0.weight', 1))
    expect(valuesOf(CNN, 'convs.0.weight', 1)).to.not.deep.equal(valuesOf(CNN, 'convs.0.weight', 2))
    const [first, second] = ['transformer.h.0.mlp.c_fc.weight', 'transformer.h.1.mlp.c_fc.weight'].map(name => valuesOf(GPT2, name))
    expect(first).to.not.deep.equal(second)
  })

  it('are refused where the network, or how it begins, is not known', () => {
    const t5 = { model_type: 't5', d_model: 8, d_kv: 4, num_heads: 2, d_ff: 8, num_layers: 1, vocab_size: 9, decoder_start_token_id: 0, pad_token_id: 0 }
    for (const json of [{ model_type: 'falcon' }, { ...CNN, kernel_size: 2 }, { ...LLAMA, initializer_range: -1 }, t5, null]) {
      expect(() => randomWeights(json, 'config.json', 0), JSON.stringify(json)).to.throw().with.property('name', 'InvalidModelError')
    }
  })
})
