import { expect } from 'chai'
import { networkOf } from '../../../src/model/networks/registry.js'

const LLAMA = { model_type: 'llama', vocab_size: 9, hidden_size: 8, intermediate_size: 5, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16 }

function errorOf (json: unknown): Error {
  try {
    networkOf(json, 'folder/config.json')
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

function configOf (json: object): string {
  return networkOf({ ...LLAMA, ...json }, '').config
}

describe('the network that a config.json describes', () => {
  it('is known by its model_type, and has the modules of transformers', () => {
    const { network } = networkOf({ ...LLAMA, architectures: ['LlamaForCausalLM'], torch_dtype: 'float16' }, '')
    const { info, weights } = network
    expect(info.sites.slice(0, 7).map(({ name, inFeatures, outFeatures }) => [name, inFeatures, outFeatures])).to.deep.equal([
      ['model.layers.0.self_attn.q_proj', 8, 8], ['model.layers.0.self_attn.k_proj', 8, 8], ['model.layers.0.self_attn.v_proj', 8, 8], ['model.layers.0.self_attn.o_proj', 8, 8],
      ['model.layers.0.mlp.gate_proj', 8, 5], ['model.layers.0.mlp.up_proj', 8, 5], ['model.layers.0.mlp.down_proj', 5, 8]
    ])
    expect(info).to.include({ positions: 16, vocabSize: 9, fanInFanOut: false })
    expect(info.defaultSites).to.deep.equal(['q_proj', 'v_proj'])
    expect(weights.get('lm_head.weight')).to.deep.equal([9, 8])
    expect(network.siteWeight('lm_head')).to.deep.equal({ name: 'lm_head.weight', layout: 'out-in' })
  })

  it('has no head of its own where it is tied, and biases where it says so', () => {
    const { weights } = networkOf({ ...LLAMA, tie_word_embeddings: true, attention_bias: true }, '').network
    expect([...weights.keys()].filter(name => /head|layers\.1\..*bias/.test(name))).to.deep.equal(['q', 'k', 'v', 'o'].map(part => `model.layers.1.self_attn.${part}_proj.bias`))
    const qwen2 = networkOf({ ...LLAMA, model_type: 'qwen2' }, '').network.weights
    expect([...qwen2.keys()].filter(name => /layers\.1\..*bias/.test(name))).to.deep.equal(['q', 'k', 'v'].map(part => `model.layers.1.self_attn.${part}_proj.bias`))
    const qwen3 = networkOf({ ...LLAMA, model_type: 'qwen3' }, '').network.weights
    expect(qwen3.get('model.layers.1.self_attn.q_norm.weight')).to.deep.equal([128])
    expect(qwen3.get('model.layers.1.self_attn.q_proj.weight')).to.deep.equal([256, 8])
  })

  it('is the same however the file says the same', () => {
    const plain = configOf({})
    expect(configOf({ num_key_value_heads: 2, head_dim: 4, hidden_act: 'silu', bos_token_id: 7, rope_scaling: null, architectures: null })).to.equal(plain)
    expect(configOf({ rope_parameters: { rope_type: 'default' } })).to.equal(plain)
    expect(configOf({ num_key_value_heads: 1 })).to.not.equal(plain)
    const linear = configOf({ rope_theta: 50, rope_scaling: { type: 'linear', factor: 2 } })
    expect(configOf({ rope_parameters: { rope_type: 'linear', rope_theta: 50, factor: 2 } })).to.equal(linear)
    expect(configOf({ rope_theta: 50, rope_scaling: { rope_type: 'linear', factor: 3 } })).to.not.equal(linear)
    expect(configOf({ rope_theta: 50 })).to.not.equal(plain)
  })

  it('is refused where it is of a type or a class that is not known, and told what is', () => {
    for (const type of ['falcon', 'toString', '']) {
      const error = errorOf({ ...LLAMA, model_type: type })
      expect(error.name).to.equal('InvalidModelError')
      expect(error.message).to.equal(`folder/config.json: model_type ${JSON.stringify(type)} is not known; known are gpt2, llama, mistral, qwen2, qwen3`)
    }
    const { name, message } = errorOf({ ...LLAMA, architectures: ['LlamaForTokenClassification'] })
    expect(name).to.equal('InvalidModelError')
    expect(message).to.equal('folder/config.json: architecture LlamaForTokenClassification is not known; of llama there is LlamaForCausalLM, LlamaModel')
  })

  it('is refused where it is not possible, and told what is wrong', () => {
    for (const [change, said] of [
      [{ hidden_size: undefined }, 'hidden_size'],
      [{ num_attention_heads: 0 }, 'num_attention_heads'],
      [{ hidden_act: 'mish' }, 'hidden_act'],
      [{ num_key_value_heads: 3 }, '2 heads cannot share 3 of keys and values'],
      [{ head_dim: 3 }, 'heads of 3 cannot be rotated in pairs'],
      [{ rope_scaling: { type: 'yarn', factor: 4 } }, 'known are default, linear, llama3'],
      [{ rope_scaling: { type: 'linear' } }, 'factor'],
      [{ rope_theta: -1 }, 'rope_theta']
    ] as ReadonlyArray<readonly [object, string]>) {
      const { name, message } = errorOf({ ...LLAMA, ...change })
      expect(name, said).to.equal('InvalidModelError')
      expect(message).to.include('folder/config.json').and.to.include(said)
    }
    for (const json of [null, [], 'llama', {}, { model_type: 3 }]) expect(errorOf(json).name).to.equal('InvalidModelError')
  })
})
