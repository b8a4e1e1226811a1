import { expect } from 'chai'
import { networkOf } from '../../../src/model/networks/registry.js'

/** All that are known. */
const TYPES = ['bart', 'bert', 'cnn-classifier', 'gpt2', 'llama', 'linear-classifier', 'mistral', 'mlp-classifier', 'qwen2', 'qwen3', 'roberta', 't5', 'vit']

const LLAMA = { model_type: 'llama', vocab_size: 9, hidden_size: 8, intermediate_size: 5, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16 }
const BERT = { model_type: 'bert', vocab_size: 9, hidden_size: 8, intermediate_size: 5, num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 16 }
const ROBERTA = { ...BERT, model_type: 'roberta' }

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
    expect(info.sites[0]).to.deep.equal({ name: 'model.embed_tokens', inFeatures: 9, outFeatures: 8, embedding: true })
    expect(info.sites.slice(1, 8).map(({ name, inFeatures, outFeatures }) => [name, inFeatures, outFeatures])).to.deep.equal([
      ['model.layers.0.self_attn.q_proj', 8, 8], ['model.layers.0.self_attn.k_proj', 8, 8], ['model.layers.0.self_attn.v_proj', 8, 8], ['model.layers.0.self_attn.o_proj', 8, 8],
      ['model.layers.0.mlp.gate_proj', 8, 5], ['model.layers.0.mlp.up_proj', 8, 5], ['model.layers.0.mlp.down_proj', 5, 8]
    ])
    expect(info).to.include({ positions: 16, vocabSize: 9, fanInFanOut: false })
    expect(info.defaultSites).to.deep.equal(['q_proj', 'v_proj'])
    expect(weights.get('lm_head.weight')).to.deep.equal([9, 8])
    expect(network.siteWeight('lm_head')).to.deep.equal({ name: 'lm_head.weight', layout: 'out-in' })
    expect(network.siteWeight('model.embed_tokens')).to.deep.equal({ name: 'model.embed_tokens.weight', layout: 'in-out' })
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
      expect(error.message).to.equal(`folder/config.json: model_type ${JSON.stringify(type)} is not known; known are ${TYPES.join(', ')}`)
    }
    const { name, message } = errorOf({ ...LLAMA, architectures: ['LlamaForTokenClassification'] })
    expect(name).to.equal('InvalidModelError')
    expect(message).to.equal('folder/config.json: architecture LlamaForTokenClassification is not known; of llama there is LlamaForCausalLM, LlamaModel')
  })

  it('is refused where it has no head of its task, and told how transformers makes one', () => {
    for (const [config, other, own] of [
      [BERT, 'BertForMaskedLM', 'BertForSequenceClassification'],
      [ROBERTA, 'RobertaModel', 'RobertaForSequenceClassification']
    ] as const) {
      const { name, message } = errorOf({ ...config, architectures: [other] })
      expect(name).to.equal('InvalidModelError')
      expect(message).to.include(`architecture ${other} is not known; of ${config.model_type} there is ${own}`).and.to.include('AutoModelForSequenceClassification.from_pretrained')
    }
  })

  it('tells texts apart with a head of the modules of transformers', () => {
    for (const [config, head, positions] of [
      [BERT, ['bert.pooler.dense', 'classifier'], 16],
      [ROBERTA, ['classifier.dense', 'classifier.out_proj'], 14]
    ] as const) {
      const { info, weights } = networkOf({ ...config, num_labels: 3 }, '').network
      const layer = `${config.model_type}.encoder.layer.1`
      expect(info.sites[0]).to.deep.equal({ name: `${config.model_type}.embeddings.word_embeddings`, inFeatures: 9, outFeatures: 8, embedding: true })
      expect(info.sites.slice(7).map(({ name, inFeatures, outFeatures, places }) => [name, inFeatures, outFeatures, places])).to.deep.equal([
        [`${layer}.attention.self.query`, 8, 8, undefined], [`${layer}.attention.self.key`, 8, 8, undefined], [`${layer}.attention.self.value`, 8, 8, undefined],
        [`${layer}.attention.output.dense`, 8, 8, undefined], [`${layer}.intermediate.dense`, 8, 5, undefined], [`${layer}.output.dense`, 5, 8, undefined],
        [head[0], 8, 8, 1], [head[1], 8, 3, 1]
      ])
      expect(info).to.include({ task: 'SEQ_CLS', output: head[1], positions, vocabSize: 9, fanInFanOut: false, tokenTypes: 2 })
      expect(info.defaultSites).to.deep.equal(['query', 'value'])
      expect(weights.get(`${config.model_type}.embeddings.position_embeddings.weight`)).to.deep.equal([16, 8])
    }
  })

  it('has the classes that it names, or as many as it says, or two; and none where it gives a number', () => {
    for (const [change, labels] of [
      [{}, ['LABEL_0', 'LABEL_1']],
      [{ num_labels: 3, problem_type: 'single_label_classification' }, ['LABEL_0', 'LABEL_1', 'LABEL_2']],
      [{ id2label: { 1: 'good', 0: 'bad' } }, ['bad', 'good']],
      [{ id2label: Object.fromEntries(Array.from({ length: 12 }, (_, i) => [11 - i, `class ${11 - i}`])) }, Array.from({ length: 12 }, (_, i) => `class ${i}`)],
      [{ num_labels: 1 }, []],
      [{ id2label: { 0: 'stars' }, problem_type: 'regression' }, []]
    ] as ReadonlyArray<readonly [object, string[]]>) {
      const { info, weights } = networkOf({ ...BERT, ...change }, '').network
      expect(info.labels).to.deep.equal(labels)
      expect(weights.get('classifier.weight')).to.deep.equal([Math.max(1, labels.length), 8])
    }
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
    for (const [config, change, said] of [
      [BERT, { hidden_act: 'mish' }, 'hidden_act'],
      [BERT, { num_attention_heads: 3 }, 'hidden_size must be a multiple of num_attention_heads'],
      [BERT, { position_embedding_type: 'relative_key' }, 'supported is absolute'],
      [BERT, { is_decoder: true }, 'a decoder is not supported'],
      [BERT, { add_cross_attention: true }, 'cross-attention is not supported'],
      [BERT, { problem_type: 'multi_label_classification' }, 'supported are single_label_classification and regression'],
      [BERT, { problem_type: 'regression', num_labels: 2 }, 'regression with 2 numbers is not supported'],
      [BERT, { problem_type: 'single_label_classification', num_labels: 1 }, 'at least two'],
      [BERT, { id2label: { 1: 'a', 2: 'b' } }, 'id2label names 1, 2; classes are counted from 0'],
      [BERT, { id2label: { 0: 'a', 1: 'b' }, num_labels: 3 }, 'num_labels is 3, id2label has 2'],
      [BERT, { id2label: {} }, 'id2label names no class'],
      [ROBERTA, { pad_token_id: 15 }, 'max_position_embeddings must be more than pad_token_id + 1']
    ] as ReadonlyArray<readonly [object, object, string]>) {
      const { name, message } = errorOf({ ...config, ...change })
      expect(name, said).to.equal('InvalidModelError')
      expect(message).to.include('folder/config.json').and.to.include(said)
    }
    for (const json of [null, [], 'llama', {}, { model_type: 3 }]) expect(errorOf(json).name).to.equal('InvalidModelError')
  })
})
