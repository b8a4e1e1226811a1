import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { type Backend, startBackend } from '../../src/engine/backend.js'
import { ACTIVATIONS } from '../../src/model/layers/activations.js'
import type { WeightForm } from '../../src/model/weights.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { lengthsOf } from '../../src/places.js'
import { QUANTIZATIONS } from '../../src/tensor/quantize.js'
import type { Batch } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { FIXTURES, readBatch } from '../support/fixtures.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { expectSameResult, type Tolerance } from './expect-same-result.js'
import { type OtherConfig, type SmallConfig, writeModel } from './random-model.js'
import { KINDS_OF_PASSES, randomPass } from './random-pass.js'

/** Where the compiled passes run: another one is tested with `npm run test:webgpu`. */
const DEVICE = (process.env.COLANET_TEST_DEVICE ?? 'cpu') as 'cpu' | 'cuda' | 'webgpu'

/** Relative. Shaders add in an order of their own. */
const TOLERANCE = DEVICE === 'cpu' ? { loss: 1e-6, tensors: 1e-5 } : { loss: 1e-4, tensors: 1e-4 }

/** With weights in 16 bits: the CPU widens them, others compute in so many. */
const NARROW_TOLERANCE = DEVICE === 'cpu' ? TOLERANCE : { loss: 1e-2, tensors: 5e-2 }

/** One model for each activation function; between them they have all else that a configuration may say. */
const GPT2_MODELS: ReadonlyArray<Required<Pick<SmallConfig, 'activation_function'>> & SmallConfig> = Object.keys(ACTIVATIONS).map((name, i) => ({
  activation_function: name,
  vocab_size: [29, 17, 40, 11][i % 4],
  n_positions: [12, 9, 16][i % 3],
  n_head: [3, 1, 2, 5][i % 4],
  n_embd: [3, 1, 2, 5][i % 4] * [5, 9, 7][i % 3],
  n_layer: 1 + i % 3,
  tie_word_embeddings: i % 2 === 0,
  scale_attn_weights: i % 4 !== 3,
  scale_attn_by_inverse_layer_idx: i % 3 === 2,
  ...(i % 3 === 1 ? {} : { n_inner: 13 + i })
}))

/** Of each kind of decoder in the Llama family, with all of its details. */
const LLAMA_MODELS: readonly OtherConfig[] = [
  {
    model_type: 'llama',
    vocab_size: 23,
    hidden_size: 15,
    intermediate_size: 19,
    num_hidden_layers: 2,
    num_attention_heads: 6,
    num_key_value_heads: 3,
    head_dim: 4,
    max_position_embeddings: 11,
    attention_bias: true,
    mlp_bias: true,
    tie_word_embeddings: true,
    rope_scaling: { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8 },
    rope_theta: 50
  },
  { model_type: 'mistral', vocab_size: 19, hidden_size: 12, intermediate_size: 20, num_hidden_layers: 2, num_attention_heads: 4, num_key_value_heads: 1, head_dim: 6, max_position_embeddings: 16, sliding_window: 3 },
  { model_type: 'qwen2', vocab_size: 31, hidden_size: 16, intermediate_size: 9, num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 9, use_sliding_window: true, sliding_window: 2, max_window_layers: 1 },
  { model_type: 'qwen3', vocab_size: 13, hidden_size: 9, intermediate_size: 14, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 2, head_dim: 8, max_position_embeddings: 12 }
]

/** Of each kind of model that is no causal language model. */
const TASK_MODELS: readonly OtherConfig[] = [
  { model_type: 'bert', vocab_size: 23, hidden_size: 15, intermediate_size: 19, num_hidden_layers: 2, num_attention_heads: 3, max_position_embeddings: 14, num_labels: 4 },
  { model_type: 'roberta', vocab_size: 19, hidden_size: 12, intermediate_size: 20, num_hidden_layers: 1, num_attention_heads: 4, max_position_embeddings: 14, pad_token_id: 1, type_vocab_size: 1, num_labels: 1, hidden_act: 'gelu_new' },
  {
    model_type: 'bart',
    vocab_size: 17,
    max_position_embeddings: 18,
    d_model: 12,
    encoder_layers: 1,
    encoder_attention_heads: 3,
    encoder_ffn_dim: 7,
    decoder_layers: 2,
    decoder_attention_heads: 2,
    decoder_ffn_dim: 9,
    scale_embedding: true
  },
  { model_type: 't5', vocab_size: 21, d_model: 12, d_kv: 5, d_ff: 9, num_layers: 1, num_decoder_layers: 2, num_heads: 3, relative_attention_num_buckets: 8, relative_attention_max_distance: 20, decoder_start_token_id: 3 },
  {
    model_type: 't5',
    vocab_size: 13,
    d_model: 9,
    d_kv: 4,
    d_ff: 14,
    num_layers: 2,
    num_heads: 2,
    relative_attention_num_buckets: 6,
    relative_attention_max_distance: 10,
    feed_forward_proj: 'gated-gelu',
    tie_word_embeddings: false
  },
  { model_type: 'vit', hidden_size: 15, num_hidden_layers: 2, num_attention_heads: 5, intermediate_size: 11, image_size: [9, 13], patch_size: [4, 3], num_channels: 2, num_labels: 5, qkv_bias: false },
  { model_type: 'mlp-classifier', num_channels: 3, image_size: [4, 5], hidden_sizes: [17, 9], num_labels: 3, hidden_act: 'tanh' },
  { model_type: 'cnn-classifier', num_channels: 2, image_size: [9, 7], conv_channels: [5, 6], kernel_size: 5, num_labels: 4 }
]

/** Models, and how many passes go through each. */
const FAMILIES = [
  { models: GPT2_MODELS, passes: 29 },
  { models: LLAMA_MODELS, passes: 50 },
  { models: TASK_MODELS, passes: 30 }
]

function sizeOf (batch: Batch): string {
  const { input, target } = lengthsOf(batch)
  return [batch.rows, input, target].join('·')
}

describe(`compiled passes on ${DEVICE}`, () => {
  const folder = temporaryFolder()
  let backend: Backend
  /** A device forgets its shaders with its last session; to compile them again takes longer than all else. */
  let open: LocalModel

  before(async () => {
    backend = await startBackend()
    open = await LocalModel.open(join(FIXTURES, 'gpt2-odd'), { device: DEVICE }, () => {})
    await open.pass({ parts: [{ batch: await readBatch('gpt2-odd'), beside: [] }], sites: [], merged: null })
  })
  after(async () => { await open.dispose() })

  /** Random passes through a random model in both ways. */
  async function compare (seed: number, config: SmallConfig | OtherConfig, passes: number, form: WeightForm, tolerance: Tolerance): Promise<void> {
    const random = seeded(seed)
    const path = join(folder(), 'model')
    await writeModel(path, config, random)
    const before = tf.memory().numTensors
    const log: string[] = []
    const compiled = await LocalModel.open(path, { device: DEVICE, ...form }, line => { log.push(line) })
    const eager = await LocalModel.open(path, { backend: backend.name, ...form }, line => { log.push(line) })
    expect(compiled.info).to.deep.equal(eager.info)
    const suffix = form.baseQuantize === undefined ? '' : `-${form.baseQuantize}`
    expect(compiled.engine.name).to.equal(`onnxruntime-${DEVICE}${suffix}`)
    expect(eager.engine.name).to.equal(`${backend.name}${suffix}`)
    for (let number = 0; number < passes; number++) {
      const pass = randomPass(compiled.info, number, random)
      const [actual, expected] = [await compiled.pass(pass), await eager.pass(pass)]
      try {
        expect(actual).to.have.lengthOf(pass.parts.length)
        for (const [i, result] of expected.entries()) {
          expect([...actual[i].data.keys()]).to.deep.equal(pass.sites)
          expectSameResult(actual[i], result, tolerance)
        }
      } catch (error) {
        (error as Error).message += ` in pass ${number}, of rows ${pass.parts.map(({ batch }) => sizeOf(batch)).join()}`
        throw error
      }
    }
    await compiled.dispose()
    await eager.dispose()
    expect(log).to.be.empty // a step that cannot be compiled would be said
    expect(tf.memory().numTensors).to.equal(before)
  }

  for (const { models, passes } of FAMILIES) {
    for (const [seed, config] of models.entries()) {
      it(`are those that run op by op, ${JSON.stringify(config)}`, async () => {
        await compare(seed, config, DEVICE === 'cpu' ? passes : KINDS_OF_PASSES, {}, TOLERANCE)
      })
    }
  }

  for (const baseQuantize of QUANTIZATIONS) {
    for (const config of [GPT2_MODELS[0], LLAMA_MODELS[0], TASK_MODELS[0], TASK_MODELS[5]]) {
      it(`are those that run op by op with the same weights, kept as ${baseQuantize}, ${JSON.stringify(config)}`, async () => {
        await compare(GPT2_MODELS.length, config, KINDS_OF_PASSES, { baseQuantize }, TOLERANCE)
      })
    }
  }

  for (const dtype of ['bf16', 'f16'] as const) {
    it(`are those that run op by op with the same weights, kept as ${dtype}, or are refused where the device has none`, async () => {
      const compared = compare(GPT2_MODELS.length, GPT2_MODELS[0], KINDS_OF_PASSES, { dtype }, NARROW_TOLERANCE)
      if (DEVICE === 'cpu') {
        await compared
        return
      }
      const error = await compared.catch((error: unknown) => error as Error)
      if (error !== undefined) expect(error).to.have.property('name', 'BackendError')
    })
  }
})
