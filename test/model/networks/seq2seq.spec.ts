import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { EagerEngine } from '../../../src/engine/eager-engine.js'
import type { Engine, Weights } from '../../../src/engine/engine.js'
import { OnnxEngine } from '../../../src/engine/onnx/onnx-engine.js'
import { BaseModel, describeModel } from '../../../src/model/base-model.js'
import { networkOf } from '../../../src/model/networks/registry.js'
import { selectSites } from '../../../src/model/sites.js'
import { batchOf } from '../../../src/tensor/batch.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../../../src/tensor/safetensors.js'
import type { Batch, FloatTensor, TensorData } from '../../../src/types.js'
import { seeded } from '../../merge/random.js'
import { relativeError } from '../../support/compare.js'
import { failureOf } from '../../support/failure.js'
import { temporaryFolder } from '../../support/temporary-folder.js'
import { type OtherConfig, writeModel } from '../random-model.js'

const BART = {
  model_type: 'bart',
  vocab_size: 19,
  max_position_embeddings: 11,
  d_model: 12,
  encoder_layers: 1,
  encoder_attention_heads: 3,
  encoder_ffn_dim: 7,
  decoder_layers: 2,
  decoder_attention_heads: 4,
  decoder_ffn_dim: 9
}
const T5 = { model_type: 't5', vocab_size: 19, d_model: 6, d_kv: 5, d_ff: 9, num_layers: 1, num_decoder_layers: 2, num_heads: 3 }
const T5_1_1 = { ...T5, feed_forward_proj: 'gated-gelu', tie_word_embeddings: false }

const BIAS = 'final_logits_bias'

const ENGINES = {
  compiled: async (weights: Weights) => await OnnxEngine.open(weights, { device: 'cpu' }),
  'op by op': async (weights: Weights) => await EagerEngine.open(weights)
}

/** One row, and what shall become of it. */
function batch (ids: readonly number[], labels: readonly number[], mask = ids.map(() => 1)): Batch {
  const row = (values: readonly number[]): TensorData => ({ shape: [1, values.length], values: Int32Array.from(values) })
  return batchOf(new Map([['input_ids', row(ids)], ['attention_mask', row(mask)], ['labels', row(labels)]]))
}

describe('a model from text to text, BART or T5', () => {
  const folder = temporaryFolder()
  let path: string
  beforeEach(() => { path = join(folder(), 'model') })

  /** Writes the weights again, changed. */
  async function store (change: (tensors: Map<string, FloatTensor>) => void): Promise<void> {
    const file = join(path, 'model.safetensors')
    const { tensors } = decodeSafetensors(await readFile(file))
    const changed = new Map([...tensors.keys()].map(name => [name, floatTensor(tensors, name)]))
    change(changed)
    await writeFile(file, encodeSafetensors(changed))
  }

  async function rename (names: Readonly<Record<string, string | undefined>>): Promise<void> {
    await store(tensors => {
      for (const [name, other] of Object.entries(names)) {
        const tensor = tensors.get(name)
        if (tensor !== undefined && other !== undefined) tensors.set(other, tensor)
        tensors.delete(name)
      }
    })
  }

  async function logitsOf (batches: readonly Batch[], open: (weights: Weights) => Promise<Engine> = ENGINES['op by op']): Promise<Float32Array[]> {
    const model = await BaseModel.load(path, open)
    const before = tf.memory().numTensors
    const results = await model.pass(batches, { sites: [], logits: true })
    expect(tf.memory().numTensors).to.equal(before)
    await model.dispose()
    return results.map(({ logits }) => logits!.values)
  }

  for (const [name, config] of Object.entries({ BART, T5, 'T5 1.1': T5_1_1 })) {
    it(`says the same whatever stands beside it: padding on the right, or longer rows of others, ${name}`, async () => {
      await writeModel(path, config, seeded(1))
      const [alone] = await logitsOf([batch([7, 3, 11], [5, 6])])
      const [padded] = await logitsOf([batch([7, 3, 11, 1, 1], [5, 6], [1, 1, 1, 0, 0])])
      const [beside] = await logitsOf([batch([7, 3, 11], [5, 6]), batch([4, 4, 4, 4, 4, 4, 4], [1, 2, 3, 4, 5])])
      expect(relativeError(padded, alone)).to.be.below(1e-5)
      expect(relativeError(beside, alone)).to.be.below(1e-5)
    })

    it(`has its places where its modules stand: at the source, or at the target, ${name}`, async () => {
      await writeModel(path, config, seeded(1))
      const model = await BaseModel.load(path, async weights => await EagerEngine.open(weights))
      const [{ pairs }] = await model.pass([batch([7, 3, 11], [5, 6])], { sites: model.info.sites })
      for (const [site, { x, gradient }] of pairs) {
        const atSource = site.includes('encoder.') || /(encoder_attn|EncDecAttention)\.(k|v)/.test(site)
        expect([x.shape[0], gradient.shape[0]], site).to.deep.equal(atSource ? [3, 3] : [2, 2])
      }
      await model.dispose()
    })
  }

  it('is adapted where PEFT would, and has embeddings and a head that all-linear leaves out', () => {
    const [bart, t5] = [BART, T5].map(config => networkOf(config, '').network.info)
    expect(selectSites(bart, bart.defaultSites).map(({ name }) => name)).to.deep.equal([
      'model.encoder.layers.0.self_attn.v_proj', 'model.encoder.layers.0.self_attn.q_proj',
      ...[0, 1].flatMap(layer => ['self_attn.v_proj', 'self_attn.q_proj', 'encoder_attn.v_proj', 'encoder_attn.q_proj'].map(part => `model.decoder.layers.${layer}.${part}`))
    ])
    expect(selectSites(t5, t5.defaultSites).map(({ name }) => name)).to.deep.equal([
      'encoder.block.0.layer.0.SelfAttention.q', 'encoder.block.0.layer.0.SelfAttention.v',
      ...[0, 1].flatMap(block => ['layer.0.SelfAttention.q', 'layer.0.SelfAttention.v', 'layer.1.EncDecAttention.q', 'layer.1.EncDecAttention.v'].map(part => `decoder.block.${block}.${part}`))
    ])
    for (const info of [bart, t5]) {
      expect(info).to.include({ task: 'SEQ_2_SEQ_LM', output: 'lm_head', vocabSize: 19, fanInFanOut: false })
      expect(selectSites(info, ['all-linear'])).to.deep.equal(info.sites.filter(({ name, embedding = false }) => name !== 'lm_head' && !embedding))
      expect(selectSites(info, ['embed_tokens']).map(({ places }) => places)).to.deep.equal([undefined, 'target'])
    }
  })

  it('has as many positions as its table, or where it counts distances 4096 at least', () => {
    const positionsOf = (config: object): number => networkOf(config, '').network.info.positions
    expect(positionsOf(BART)).to.equal(11)
    expect(positionsOf({ ...T5, n_positions: 512 })).to.equal(4096)
    expect(positionsOf({ ...T5, n_positions: 5000 })).to.equal(5000)
  })

  for (const [config, others] of [
    [BART, [
      { 'model.shared.weight': 'model.encoder.embed_tokens.weight' },
      { 'model.shared.weight': 'lm_head.weight' },
      Object.fromEntries([...networkOf(BART, '').network.weights.keys()].filter(name => name.startsWith('model.')).map(name => [name, name.slice('model.'.length)])) // of BartModel
    ]],
    [T5, [{ 'shared.weight': 'decoder.embed_tokens.weight' }, { 'shared.weight': 'lm_head.weight' }]],
    [T5_1_1, [{ 'shared.weight': 'encoder.embed_tokens.weight' }]]
  ] as ReadonlyArray<readonly [OtherConfig, ReadonlyArray<Record<string, string>>]>) {
    for (const names of others) {
      it(`is the same where its weights are called otherwise, ${config.model_type} with ${Object.values(names)[0]}`, async () => {
        await writeModel(path, config, seeded(1))
        const { id } = await describeModel(path)
        await rename(names)
        expect((await describeModel(path)).id).to.equal(id)
      })
    }
  }

  for (const [engine, open] of Object.entries(ENGINES)) {
    it(`has no bias of its logits where the file has none, ${engine}`, async () => {
      await writeModel(path, BART, seeded(1))
      await store(tensors => { tensors.get(BIAS)?.values.fill(0) })
      const { id } = await describeModel(path)
      const [expected] = await logitsOf([batch([7, 3], [5, 6])], open)
      await rename({ [BIAS]: undefined })
      expect((await describeModel(path)).id).to.equal(id)
      expect(await logitsOf([batch([7, 3], [5, 6])], open)).to.deep.equal([expected])
      expect((await describeModel(path, { dtype: 'bf16' })).id).to.not.equal(id)
    })
  }

  it('is refused where another weight is missing', async () => {
    await writeModel(path, BART, seeded(1))
    await rename({ 'model.decoder.layers.1.fc1.bias': undefined })
    expect(await failureOf(describeModel(path))).to.have.property('name', 'InvalidModelError')
  })

  it('is the same T5 however versions of transformers say that its head is its own', async () => {
    await writeModel(path, T5_1_1, seeded(1))
    const { id } = await describeModel(path)
    const configure = async (config: object): Promise<void> => { await writeFile(join(path, 'config.json'), JSON.stringify(config)) }
    await configure({ ...T5_1_1, tie_word_embeddings: true, scale_decoder_outputs: false, is_gated_act: true, dense_act_fn: 'gelu_new' })
    expect((await describeModel(path)).id).to.equal(id)
    await configure({ ...T5_1_1, tie_word_embeddings: true })
    expect((await describeModel(path)).id).to.not.equal(id)
  })

  it('takes the embedding for its head where that has none of its own, and does not scale for it', async () => {
    await writeModel(path, T5_1_1, seeded(1))
    await store(tensors => { tensors.set('lm_head.weight', floatTensor(tensors, 'shared.weight')) })
    const { id } = await describeModel(path)
    await rename({ 'lm_head.weight': undefined })
    expect((await describeModel(path)).id).to.equal(id)
  })

  it('is refused where it is not possible, and told what is wrong', () => {
    for (const [config, change, said] of [
      [BART, { decoder_attention_heads: 5 }, 'd_model must be a multiple of decoder_attention_heads'],
      [BART, { encoder_attention_heads: 5 }, 'd_model must be a multiple of encoder_attention_heads'],
      [BART, { tie_word_embeddings: false }, 'embeddings that are not tied are not supported'],
      [BART, { decoder_start_token_id: 19 }, 'decoder_start_token_id must be below vocab_size'],
      [BART, { pad_token_id: 19 }, 'pad_token_id must be below vocab_size'],
      [BART, { activation_function: 'mish' }, 'activation_function'],
      [BART, { architectures: ['BartForSequenceClassification'] }, 'of bart there is BartForConditionalGeneration'],
      [T5, { feed_forward_proj: 'gated-mish' }, 'feed_forward_proj gated-mish is not known'],
      [T5, { feed_forward_proj: 'gelu-gated' }, 'feed_forward_proj gelu-gated is not known'],
      [T5, { relative_attention_num_buckets: 3 }, 'relative_attention_num_buckets'],
      [T5, { relative_attention_num_buckets: 32, relative_attention_max_distance: 16 }, 'relative_attention_max_distance must be above half'],
      [T5, { decoder_start_token_id: -1 }, 'decoder_start_token_id'],
      [T5, { pad_token_id: 19 }, 'pad_token_id must be below vocab_size'],
      [T5, { architectures: ['T5EncoderModel'] }, 'of t5 there is T5ForConditionalGeneration']
    ] as ReadonlyArray<readonly [object, object, string]>) {
      expect(() => networkOf({ ...config, ...change }, 'folder/config.json'), said).to.throw(said).with.property('name', 'InvalidModelError')
    }
  })
})
