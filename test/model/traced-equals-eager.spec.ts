import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { type Backend, startBackend } from '../../src/engine/backend.js'
import { hasFactors } from '../../src/gl/factor-gradients.js'
import { ACTIVATIONS } from '../../src/model/layers/activations.js'
import type { LentPass, LentResult } from '../../src/node/host/lent-model.js'
import type { WeightForm } from '../../src/model/weights.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { QUANTIZATIONS } from '../../src/tensor/quantize.js'
import { AUXILIARY_KINDS, type AuxiliarySpec } from '../../src/types.js'
import { contribution, seeded, shuffled } from '../merge/random.js'
import { randomAdapter } from '../gl/adaptation.js'
import { expectAdaptation } from '../gl/expect-adaptation.js'
import { relativeError } from '../support/compare.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { lengthOf } from '../support/batch.js'
import { type OtherConfig, randomBatch, type SmallConfig, writeModel } from './random-model.js'

/** For each family of models. */
const SHAPES = 200

/** Where the compiled passes run: another one is tested with `npm run test:webgpu`. */
const DEVICE = (process.env.COLANET_TEST_DEVICE ?? 'cpu') as 'cpu' | 'cuda' | 'webgpu'

interface Tolerance {
  readonly loss: number
  readonly tensors: number
}

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

const FAMILIES = [GPT2_MODELS, LLAMA_MODELS]

/** Auxiliaries beside the base model, merged into it, both, or none. */
const WAYS = [{}, { beside: true }, { merged: true }, { beside: true, merged: true }] as const

function randomPass (model: LocalModel, number: number, random: () => number): LentPass {
  const { sites, vocabSize, positions } = model.info
  const specOf = (k: number): AuxiliarySpec => ({ kind: AUXILIARY_KINDS[k % AUXILIARY_KINDS.length], rank: 1 + k % 3, alpha: 0.2 + k % 2 / 10 })
  const spec = specOf(number)
  const way = WAYS[Math.floor(number / AUXILIARY_KINDS.length) % WAYS.length]
  const some = shuffled(sites, random).slice(0, 1 + Math.floor(random() * sites.length))
  const parts = Array.from({ length: 1 + Math.floor(random() * 3) }, (_, k) => {
    const spec = specOf(number + k)
    const own = { spec, adapter: randomAdapter(spec, some, random) }
    const factors = hasFactors(spec) && random() < 0.5
    return {
      batch: randomBatch(1 + Math.floor(random() * 4), 2 + Math.floor(random() * (positions - 1)), vocabSize, random),
      beside: 'beside' in way && k < 2 ? own : null,
      ...(factors ? { wire: 'factors', fitted: own } as const : {})
    }
  })
  return {
    parts,
    sites: some.map(({ name }) => name),
    merged: 'merged' in way ? { state: `${number}`, spec, members: [contribution(3, spec, some, random), contribution(1, spec, some, random)] } : null
  }
}

function expectSame (actual: LentResult, expected: LentResult, sites: readonly string[], tolerance: Tolerance): void {
  expect(actual.loss).to.be.above(0)
  expect(relativeError([actual.loss], [expected.loss]), 'loss').to.be.below(tolerance.loss)
  expect(actual.tokens).to.equal(expected.tokens)
  expect([...actual.data.keys()]).to.deep.equal(sites)
  expectAdaptation(actual.data, expected.data, tolerance.tensors)
}

describe(`compiled passes on ${DEVICE}`, () => {
  const folder = temporaryFolder()
  let backend: Backend
  before(async () => { backend = await startBackend() })

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
      const pass = randomPass(compiled, number, random)
      const [actual, expected] = [await compiled.pass(pass), await eager.pass(pass)]
      try {
        expect(actual).to.have.lengthOf(pass.parts.length)
        for (const [i, result] of expected.entries()) expectSame(actual[i], result, pass.sites, tolerance)
      } catch (error) {
        (error as Error).message += ` in pass ${number}, of rows ${pass.parts.map(({ batch }) => `${batch.rows}·${lengthOf(batch)}`).join()}`
        throw error
      }
    }
    await compiled.dispose()
    await eager.dispose()
    expect(log).to.be.empty // a step that cannot be compiled would be said
    expect(tf.memory().numTensors).to.equal(before)
  }

  for (const family of FAMILIES) {
    for (const [seed, config] of family.entries()) {
      it(`are those that run op by op, ${JSON.stringify(config)}`, async () => {
        await compare(seed, config, Math.ceil(SHAPES / family.length), {}, TOLERANCE)
      })
    }
  }

  for (const baseQuantize of QUANTIZATIONS) {
    for (const config of [GPT2_MODELS[0], LLAMA_MODELS[0]]) {
      it(`are those that run op by op with the same weights, kept as ${baseQuantize}, ${JSON.stringify(config)}`, async () => {
        await compare(GPT2_MODELS.length, config, WAYS.length * AUXILIARY_KINDS.length, { baseQuantize }, TOLERANCE)
      })
    }
  }

  for (const dtype of ['bf16', 'f16'] as const) {
    it(`are those that run op by op with the same weights, kept as ${dtype}, or are refused where the device has none`, async () => {
      const compared = compare(GPT2_MODELS.length, GPT2_MODELS[0], WAYS.length * AUXILIARY_KINDS.length, { dtype }, NARROW_TOLERANCE)
      if (DEVICE === 'cpu') {
        await compared
        return
      }
      const error = await compared.catch((error: unknown) => error as Error)
      if (error !== undefined) expect(error).to.have.property('name', 'BackendError')
    })
  }
})
