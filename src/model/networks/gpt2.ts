import * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import type { Site } from '../../types.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { attention, causalBias } from '../layers/attention.js'
import { Modules } from '../layers/modules.js'
import { layerNorm } from '../layers/norms.js'
import type { CausalNetwork, NetworkInfo, Parameters, Remembered, SiteWeight, Tap, Tokens } from '../network.js'

const size = z.number().int().positive()

/** What of a GPT-2 `config.json` changes the numbers, with transformers' defaults. */
export const gpt2Config = z.object({
  vocab_size: size.default(50257),
  n_positions: size.default(1024),
  n_embd: size.default(768),
  n_layer: size.default(12),
  n_head: size.default(12),
  n_inner: size.nullish(),
  activation_function: z.enum(Object.keys(ACTIVATIONS)).default('gelu_new'),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  scale_attn_weights: z.boolean().default(true),
  scale_attn_by_inverse_layer_idx: z.boolean().default(false),
  tie_word_embeddings: z.boolean().default(true),
  add_cross_attention: z.literal(false, 'cross-attention is not supported').default(false)
}).refine(config => config.n_embd % config.n_head === 0, 'n_embd must be a multiple of n_head')

export type Gpt2Config = z.infer<typeof gpt2Config>

/** GPT-2 (Radford et al. 2019) with transformers' module names. Weights of its linear modules are `[in, out]` (Conv1D). */
export class Gpt2 implements CausalNetwork {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix = 'transformer.'
  readonly #config: Gpt2Config

  constructor (config: Gpt2Config) {
    this.#config = config
    this.info = {
      task: 'CAUSAL_LM',
      sites: sitesOf(config),
      output: HEAD,
      defaultSites: ['c_attn'],
      fanInFanOut: true,
      positions: config.n_positions,
      vocabSize: config.vocab_size,
      labels: []
    }
    this.weights = new Map(shapesOf(config))
  }

  siteWeight (site: string): SiteWeight {
    if (site !== HEAD) return { name: `${site}.weight`, layout: 'in-out' }
    return { name: `${this.#config.tie_word_embeddings ? EMBEDDING : HEAD}.weight`, layout: 'out-in' }
  }

  logits (parameters: Parameters, { inputIds, remember, ...visibility }: Tokens & Remembered, tap: Tap): tf.Tensor2D {
    const { n_layer: layers, n_embd: width } = this.#config
    const [rows, length] = inputIds.shape
    const modules = new Modules(this, parameters, tap)
    const token = modules.embedding(EMBEDDING, inputIds) // [tokens, width]
    const { positions } = visibility
    const table = parameters.tensor<tf.Tensor2D>('transformer.wpe.weight') // [positions, width]
    const position = positions === undefined ? tf.slice(table, [0, 0], [length, width]) : tf.gather(table, positions.queries) // [length, width]
    const bias = causalBias(visibility)
    let h = tf.reshape<tf.Rank.R2>(tf.add(tf.reshape(token, [rows, length, width]), position), [-1, width]) // [tokens, width]
    const pass = new Pass(this.#config, parameters, modules, remember)
    for (let layer = 0; layer < layers; layer++) h = pass.layer(layer, h, bias)
    return pass.head(h)
  }
}

/** The modules of one pass. */
class Pass {
  readonly #config: Gpt2Config
  readonly #parameters: Parameters
  readonly #modules: Modules
  readonly #remember: NonNullable<Remembered['remember']>

  constructor (config: Gpt2Config, parameters: Parameters, modules: Modules, remember: Remembered['remember'] = (_, made) => made) {
    this.#config = config
    this.#parameters = parameters
    this.#modules = modules
    this.#remember = remember
  }

  layer (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const name = `transformer.h.${layer}`
    const attended = tf.add<tf.Tensor2D>(x, this.#attention(layer, this.#norm(`${name}.ln_1`, x), bias)) // [tokens, width]
    return tf.add(attended, this.#mlp(name, this.#norm(`${name}.ln_2`, attended))) // [tokens, width]
  }

  head (x: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.linear(HEAD, this.#norm('transformer.ln_f', x), { bias: false }) // [tokens, vocabulary]
  }

  #attention (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const { n_head: heads, n_embd: width } = this.#config
    const [rows, , length] = bias.shape // [rows, 1, length, keys]
    const name = `transformer.h.${layer}.attn`
    const qkv = tf.reshape(this.#linear(`${name}.c_attn`, x), [rows, length, 3 * heads, width / heads])
    const [query, ownKey, ownValue] = tf.split<tf.Tensor4D>(tf.transpose(qkv, [0, 2, 1, 3]), 3, 1) // [rows, heads, length, width / heads]
    const { key, value } = this.#remember(layer, { key: ownKey, value: ownValue }) // [rows, heads, keys, width / heads]
    const context = tf.transpose(attention(query, key, value, bias, this.#attentionScale(layer)), [0, 2, 1, 3]) // [rows, length, heads, width / heads]
    return this.#linear(`${name}.c_proj`, tf.reshape(context, [-1, width])) // [tokens, width]
  }

  #attentionScale (layer: number): number {
    const config = this.#config
    const byWidth = config.scale_attn_weights ? 1 / Math.sqrt(config.n_embd / config.n_head) : 1
    return config.scale_attn_by_inverse_layer_idx ? byWidth / (layer + 1) : byWidth
  }

  #mlp (block: string, x: tf.Tensor2D): tf.Tensor2D {
    const hidden = this.#linear(`${block}.mlp.c_fc`, x) // [tokens, inner]
    return this.#linear(`${block}.mlp.c_proj`, ACTIVATIONS[this.#config.activation_function](hidden)) // [tokens, width]
  }

  #linear (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.linear(name, x, { bias: true })
  }

  #norm (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const { tensor } = this.#parameters
    return layerNorm(x, tensor(`${name}.weight`), tensor(`${name}.bias`), this.#config.layer_norm_epsilon)
  }
}

const HEAD = 'lm_head'
const EMBEDDING = 'transformer.wte'

function sitesOf (config: Gpt2Config): Site[] {
  const width = config.n_embd
  const inner = config.n_inner ?? 4 * width
  const blocks = Array.from({ length: config.n_layer }, (_, layer) => `transformer.h.${layer}`)
  return [
    { name: EMBEDDING, inFeatures: config.vocab_size, outFeatures: width, embedding: true },
    ...blocks.flatMap(block => [
      { name: `${block}.attn.c_attn`, inFeatures: width, outFeatures: 3 * width },
      { name: `${block}.attn.c_proj`, inFeatures: width, outFeatures: width },
      { name: `${block}.mlp.c_fc`, inFeatures: width, outFeatures: inner },
      { name: `${block}.mlp.c_proj`, inFeatures: inner, outFeatures: width }
    ]),
    { name: HEAD, inFeatures: width, outFeatures: config.vocab_size }
  ]
}

/** Names and shapes of all weights, as transformers' `GPT2LMHeadModel` saves them. */
function * shapesOf (config: Gpt2Config): Generator<[name: string, shape: number[]]> {
  const width = config.n_embd
  yield [`${EMBEDDING}.weight`, [config.vocab_size, width]]
  yield ['transformer.wpe.weight', [config.n_positions, width]]
  for (const { name, inFeatures, outFeatures, embedding = false } of sitesOf(config)) {
    if (name === HEAD || embedding) continue
    yield [`${name}.weight`, [inFeatures, outFeatures]]
    yield [`${name}.bias`, [outFeatures]]
  }
  const norms = Array.from({ length: config.n_layer }, (_, layer) => [`transformer.h.${layer}.ln_1`, `transformer.h.${layer}.ln_2`]).flat()
  for (const norm of [...norms, 'transformer.ln_f']) {
    yield [`${norm}.weight`, [width]]
    yield [`${norm}.bias`, [width]]
  }
  if (!config.tie_word_embeddings) yield [`${HEAD}.weight`, [config.vocab_size, width]]
}
