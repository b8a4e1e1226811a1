import * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import type { FloatTensor, Site } from '../types.js'
import { ACTIVATIONS, layerNorm } from './layers.js'
import type { Network, NetworkInfo, Tap, Tokens } from './network.js'
import type { WeightSource } from './weights.js'

const size = z.number().int().positive()

/** What of a GPT-2 `config.json` changes the numbers, with transformers' defaults. */
export const gpt2Config = z.object({
  model_type: z.literal('gpt2'),
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
export class Gpt2 implements Network {
  readonly info: NetworkInfo
  readonly #config: Gpt2Config
  readonly #weights: ReadonlyMap<string, tf.Tensor>
  /** θ + αΔW of merged sites, in the layout of θ. */
  readonly #merged = new Map<string, tf.Tensor2D>()

  private constructor (config: Gpt2Config, weights: ReadonlyMap<string, tf.Tensor>) {
    this.#config = config
    this.#weights = weights
    this.info = gpt2Info(config)
  }

  /** Reads every weight from `source`. @throws {InvalidModelError} if one is missing or has another shape */
  static async load (config: Gpt2Config, source: WeightSource): Promise<Gpt2> {
    const weights = new Map<string, tf.Tensor>()
    try {
      for await (const [name, { values, shape }] of readGpt2(config, source)) weights.set(name, tf.tensor(values, [...shape]))
    } catch (error) {
      tf.dispose([...weights.values()])
      throw error
    }
    return new Gpt2(config, weights)
  }

  logits ({ inputIds, attentionBias }: Tokens, tap: Tap): tf.Tensor3D {
    const { n_layer: layers, n_embd: width } = this.#config
    const [rows, length] = inputIds.shape
    const token = tf.gather(this.#weight<tf.Tensor2D>('transformer.wte.weight'), tf.reshape(inputIds, [-1])) // [tokens, width]
    const position = tf.slice(this.#weight<tf.Tensor2D>('transformer.wpe.weight'), [0, 0], [length, width]) // [length, width]
    let h = tf.reshape<tf.Rank.R2>(tf.add(tf.reshape(token, [rows, length, width]), position), [-1, width]) // [tokens, width]
    for (let layer = 0; layer < layers; layer++) {
      const block = `transformer.h.${layer}`
      h = tf.add(h, this.#attention(layer, this.#norm(`${block}.ln_1`, h), attentionBias, tap)) // [tokens, width]
      h = tf.add(h, this.#mlp(block, this.#norm(`${block}.ln_2`, h), tap)) // [tokens, width]
    }
    return tf.reshape(this.#head(this.#norm('transformer.ln_f', h), tap), [rows, length, this.info.vocabSize])
  }

  merge (delta: ReadonlyMap<string, tf.Tensor2D>): void {
    tf.dispose([...this.#merged.values()])
    this.#merged.clear()
    for (const [name, change] of delta) {
      const pristine = this.#pristine(name)
      this.#merged.set(name, tf.keep(tf.tidy(() => tf.add<tf.Tensor2D>(pristine, name === HEAD ? change : tf.transpose(change)))))
    }
  }

  dispose (): void {
    this.merge(new Map())
    tf.dispose([...this.#weights.values()])
  }

  #attention (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D, tap: Tap): tf.Tensor2D {
    const { n_head: heads, n_embd: width } = this.#config
    const [rows, , length] = bias.shape
    const name = `transformer.h.${layer}.attn`
    const qkv = tf.reshape(this.#linear(`${name}.c_attn`, x, tap), [rows, length, 3 * heads, width / heads])
    const [query, key, value] = tf.split(tf.transpose(qkv, [0, 2, 1, 3]), 3, 1) // [rows, heads, length, width / heads]
    const scores = tf.mul(tf.matMul(query, key, false, true), this.#attentionScale(layer)) // [rows, heads, length, length]
    const weights = tf.softmax(tf.add(scores, bias)) // [rows, heads, length, length]
    const context = tf.transpose(tf.matMul(weights, value), [0, 2, 1, 3]) // [rows, length, heads, width / heads]
    return this.#linear(`${name}.c_proj`, tf.reshape(context, [-1, width]), tap) // [tokens, width]
  }

  #attentionScale (layer: number): number {
    const config = this.#config
    const byWidth = config.scale_attn_weights ? 1 / Math.sqrt(config.n_embd / config.n_head) : 1
    return config.scale_attn_by_inverse_layer_idx ? byWidth / (layer + 1) : byWidth
  }

  #mlp (block: string, x: tf.Tensor2D, tap: Tap): tf.Tensor2D {
    const hidden = this.#linear(`${block}.mlp.c_fc`, x, tap) // [tokens, inner]
    return this.#linear(`${block}.mlp.c_proj`, ACTIVATIONS[this.#config.activation_function](hidden), tap) // [tokens, width]
  }

  #head (x: tf.Tensor2D, tap: Tap): tf.Tensor2D {
    const weight = this.#merged.get(HEAD) ?? this.#pristine(HEAD) // [vocabulary, width]
    return tap(this.#site(HEAD), x, tf.matMul(x, weight, false, true)) // [tokens, vocabulary]
  }

  #linear (name: string, x: tf.Tensor2D, tap: Tap): tf.Tensor2D {
    const weight = this.#merged.get(name) ?? this.#pristine(name) // [in, out]
    return tap(this.#site(name), x, tf.add(tf.matMul(x, weight), this.#weight<tf.Tensor1D>(`${name}.bias`))) // [tokens, out]
  }

  #norm (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return layerNorm(x, this.#weight(`${name}.weight`), this.#weight(`${name}.bias`), this.#config.layer_norm_epsilon)
  }

  #pristine (site: string): tf.Tensor2D {
    return this.#weight(site === HEAD && this.#config.tie_word_embeddings ? 'transformer.wte.weight' : `${site}.weight`)
  }

  #site (name: string): Site {
    const site = this.info.sites.find(candidate => candidate.name === name)
    if (site === undefined) throw new Error(`${name} is not in the list of sites`)
    return site
  }

  #weight<T extends tf.Tensor> (name: string): T {
    return this.#weights.get(name) as T
  }
}

const HEAD = 'lm_head'

export function gpt2Info (config: Gpt2Config): NetworkInfo {
  return { sites: sitesOf(config), defaultSites: ['c_attn'], fanInFanOut: true, positions: config.n_positions, vocabSize: config.vocab_size }
}

/** Every weight, in the order that the model's id is made in. @throws {InvalidModelError} if one is missing or has another shape */
export async function * readGpt2 (config: Gpt2Config, source: WeightSource): AsyncGenerator<[name: string, tensor: FloatTensor]> {
  for (const [name, shape] of shapesOf(config)) yield [name, await source.read(name, shape)]
}

function sitesOf (config: Gpt2Config): Site[] {
  const width = config.n_embd
  const inner = config.n_inner ?? 4 * width
  const blocks = Array.from({ length: config.n_layer }, (_, layer) => `transformer.h.${layer}`)
  return [
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
  yield ['transformer.wte.weight', [config.vocab_size, width]]
  yield ['transformer.wpe.weight', [config.n_positions, width]]
  for (const { name, inFeatures, outFeatures } of sitesOf(config)) {
    if (name === HEAD) continue
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
