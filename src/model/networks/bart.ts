import * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import type { Site } from '../../types.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { attention, bidirectionalBias, causalBias, type Visibility } from '../layers/attention.js'
import { intoHeads, outOfHeads } from '../layers/heads.js'
import { Modules } from '../layers/modules.js'
import { layerNorm } from '../layers/norms.js'
import type { KeyValue, NetworkInfo, Parameters, Remembered, Seq2SeqNetwork, SiteWeight, Tap, Tokens } from '../network.js'

const size = z.number().int().positive()
const token = z.number().int().nonnegative()

/** What of a BART `config.json` changes the numbers, with transformers' defaults. */
export const bartConfig = z.object({
  vocab_size: size.default(50265),
  max_position_embeddings: size.default(1024),
  d_model: size.default(1024),
  encoder_layers: size.default(12),
  encoder_attention_heads: size.default(16),
  encoder_ffn_dim: size.default(4096),
  decoder_layers: size.default(12),
  decoder_attention_heads: size.default(16),
  decoder_ffn_dim: size.default(4096),
  activation_function: z.enum(Object.keys(ACTIVATIONS)).default('gelu'),
  scale_embedding: z.boolean().default(false),
  pad_token_id: token.default(1),
  decoder_start_token_id: token.default(2),
  tie_word_embeddings: z.literal(true, 'embeddings that are not tied are not supported').default(true)
})
  .refine(config => config.d_model % config.encoder_attention_heads === 0, 'd_model must be a multiple of encoder_attention_heads')
  .refine(config => config.d_model % config.decoder_attention_heads === 0, 'd_model must be a multiple of decoder_attention_heads')
  .refine(config => config.decoder_start_token_id < config.vocab_size, 'decoder_start_token_id must be below vocab_size')
  .refine(config => config.pad_token_id < config.vocab_size, 'pad_token_id must be below vocab_size')

export type BartConfig = z.infer<typeof bartConfig>

/** BART (arXiv 1910.13461) with transformers' module names. Weights of its linear modules are `[out, in]`. */
export class Bart implements Seq2SeqNetwork {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix = 'model.'
  readonly zeros: ReadonlySet<string> = new Set([LOGITS_BIAS])
  readonly decoderStart: number
  readonly padding: number
  readonly #config: BartConfig

  constructor (config: BartConfig) {
    this.#config = config
    this.info = {
      task: 'SEQ_2_SEQ_LM',
      sites: sitesOf(config),
      output: HEAD,
      defaultSites: ['q_proj', 'v_proj'],
      fanInFanOut: false,
      positions: config.max_position_embeddings,
      vocabSize: config.vocab_size,
      labels: []
    }
    this.weights = new Map(shapesOf(config))
    this.decoderStart = config.decoder_start_token_id
    this.padding = config.pad_token_id
  }

  aliases (weight: string): readonly string[] {
    return weight === EMBEDDING ? [...EMBEDDINGS, HEAD].map(name => `${name}.weight`) : []
  }

  siteWeight (site: string): SiteWeight {
    if (EMBEDDINGS.includes(site)) return { name: EMBEDDING, layout: 'in-out' }
    return { name: site === HEAD ? EMBEDDING : `${site}.weight`, layout: 'out-in' }
  }

  encode (parameters: Parameters, { inputIds, ...visibility }: Tokens, tap: Tap): tf.Tensor2D {
    const bias = bidirectionalBias(visibility)
    const pass = new Pass(this.#config, parameters, new Modules(this, parameters, tap))
    let h = pass.embed('model.encoder', inputIds, visibility) // [tokens, width]
    for (let layer = 0; layer < this.#config.encoder_layers; layer++) h = pass.encoderLayer(layer, h, bias)
    return h
  }

  look (parameters: Parameters, encoded: tf.Tensor2D, rows: number, tap: Tap): KeyValue[] {
    const pass = new Pass(this.#config, parameters, new Modules(this, parameters, tap))
    return Array.from({ length: this.#config.decoder_layers }, (_, layer) => pass.look(layer, encoded, rows))
  }

  decode (parameters: Parameters, { inputIds, remember, ...visibility }: Tokens & Remembered, looked: readonly KeyValue[], source: Visibility, tap: Tap): tf.Tensor2D {
    const biases = { own: causalBias(visibility), source: bidirectionalBias(source) }
    const pass = new Pass(this.#config, parameters, new Modules(this, parameters, tap), remember)
    let h = pass.embed('model.decoder', inputIds, visibility) // [target tokens, width]
    for (const [layer, seen] of looked.entries()) h = pass.decoderLayer(layer, h, seen, biases)
    return pass.head(h)
  }
}

/** What is added to the scores in a decoder: `[rows, 1, target, keys]` and `[rows, 1, 1, length]`. */
interface Biases {
  readonly own: tf.Tensor4D
  readonly source: tf.Tensor4D
}

/** The modules of one pass. */
class Pass {
  readonly #config: BartConfig
  readonly #parameters: Parameters
  readonly #modules: Modules
  readonly #remember: NonNullable<Remembered['remember']>

  constructor (config: BartConfig, parameters: Parameters, modules: Modules, remember: Remembered['remember'] = (_, made) => made) {
    this.#config = config
    this.#parameters = parameters
    this.#modules = modules
    this.#remember = remember
  }

  embed (stack: string, inputIds: tf.Tensor2D, { positions }: Visibility): tf.Tensor2D {
    const { d_model: width, scale_embedding: scaled } = this.#config
    const [rows, length] = inputIds.shape
    const token = this.#modules.embedding(`${stack}.embed_tokens`, inputIds) // [tokens, width], not scaled yet
    const table = this.#parameters.tensor<tf.Tensor2D>(`${stack}.embed_positions.weight`) // [positions + 2, width]
    const position = positions === undefined
      ? tf.slice(table, [FIRST_POSITION, 0], [length, width])
      : tf.gather(table, tf.add<tf.Tensor1D>(positions.queries, tf.scalar(FIRST_POSITION, 'int32'))) // [length, width]
    const h = tf.add(tf.reshape(scaled ? tf.mul(token, Math.sqrt(width)) : token, [rows, length, width]), position)
    return this.#norm(`${stack}.layernorm_embedding`, tf.reshape(h, [-1, width])) // [tokens, width]
  }

  encoderLayer (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const name = `model.encoder.layers.${layer}`
    const [rows] = bias.shape
    const heads = this.#config.encoder_attention_heads
    const own = this.#keyValue(`${name}.self_attn`, x, rows, heads)
    const attended = this.#addNorm(`${name}.self_attn_layer_norm`, x, this.#attention(`${name}.self_attn`, x, own, bias)) // [tokens, width]
    return this.#addNorm(`${name}.final_layer_norm`, attended, this.#mlp(name, attended)) // [tokens, width]
  }

  decoderLayer (layer: number, x: tf.Tensor2D, looked: KeyValue, biases: Biases): tf.Tensor2D {
    const name = `model.decoder.layers.${layer}`
    const [rows] = biases.own.shape
    const own = this.#remember(layer, this.#keyValue(`${name}.self_attn`, x, rows, this.#config.decoder_attention_heads))
    const attended = this.#addNorm(`${name}.self_attn_layer_norm`, x, this.#attention(`${name}.self_attn`, x, own, biases.own)) // [target tokens, width]
    const across = this.#attention(`${name}.encoder_attn`, attended, looked, biases.source)
    const seen = this.#addNorm(`${name}.encoder_attn_layer_norm`, attended, across) // [target tokens, width]
    return this.#addNorm(`${name}.final_layer_norm`, seen, this.#mlp(name, seen)) // [target tokens, width]
  }

  look (layer: number, encoded: tf.Tensor2D, rows: number): KeyValue {
    return this.#keyValue(`model.decoder.layers.${layer}.encoder_attn`, encoded, rows, this.#config.decoder_attention_heads)
  }

  head (x: tf.Tensor2D): tf.Tensor2D {
    const logits = this.#modules.linear(HEAD, x, { bias: false }) // [target tokens, vocabulary]
    return tf.add(logits, this.#parameters.tensor(LOGITS_BIAS))
  }

  #keyValue (name: string, x: tf.Tensor2D, rows: number, heads: number): KeyValue {
    const made = (part: string): tf.Tensor4D => intoHeads(this.#linear(`${name}.${part}_proj`, x), rows, heads)
    return { key: made('k'), value: made('v') } // [rows, heads, length, width / heads]
  }

  #attention (name: string, x: tf.Tensor2D, { key, value }: KeyValue, bias: tf.Tensor4D): tf.Tensor2D {
    const [rows, heads, , headSize] = key.shape
    const query = intoHeads(this.#linear(`${name}.q_proj`, x), rows, heads) // [rows, heads, length, width / heads]
    return this.#linear(`${name}.out_proj`, outOfHeads(attention(query, key, value, bias, 1 / Math.sqrt(headSize)))) // [tokens, width]
  }

  #mlp (layer: string, x: tf.Tensor2D): tf.Tensor2D {
    const hidden = this.#linear(`${layer}.fc1`, x) // [tokens, inner]
    return this.#linear(`${layer}.fc2`, ACTIVATIONS[this.#config.activation_function](hidden)) // [tokens, width]
  }

  #addNorm (name: string, x: tf.Tensor2D, y: tf.Tensor2D): tf.Tensor2D {
    return this.#norm(name, tf.add<tf.Tensor2D>(x, y))
  }

  #linear (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.linear(name, x, { bias: true })
  }

  #norm (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const { tensor } = this.#parameters
    return layerNorm(x, tensor(`${name}.weight`), tensor(`${name}.bias`), EPSILON)
  }
}

const HEAD = 'lm_head'
const EMBEDDING = 'model.shared.weight'
const EMBEDDINGS = ['model.encoder.embed_tokens', 'model.decoder.embed_tokens']
const LOGITS_BIAS = 'final_logits_bias'

/** PyTorch's default; `config.json` has none. */
const EPSILON = 1e-5

/** Rows of a table of positions before the one of the first position. */
const FIRST_POSITION = 2

const ATTENTION = ['k_proj', 'v_proj', 'q_proj', 'out_proj']

/** Of the decoder all stand at the tokens of the target, but what makes keys and values of the source. */
function sitesOf (config: BartConfig): Site[] {
  const { d_model: width, vocab_size: vocabulary } = config
  const [encoderTokens, decoderTokens] = EMBEDDINGS
  const attended = (name: string, atTarget: readonly string[]): Site[] => ATTENTION.map(part =>
    ({ name: `${name}.${part}`, inFeatures: width, outFeatures: width, ...(atTarget.includes(part) ? { places: 'target' } : {}) }))
  const encoder = layersOf('encoder', config.encoder_layers).flatMap((layer): Site[] => [
    ...attended(`${layer}.self_attn`, []),
    { name: `${layer}.fc1`, inFeatures: width, outFeatures: config.encoder_ffn_dim },
    { name: `${layer}.fc2`, inFeatures: config.encoder_ffn_dim, outFeatures: width }
  ])
  const decoder = layersOf('decoder', config.decoder_layers).flatMap((layer): Site[] => [
    ...attended(`${layer}.self_attn`, ATTENTION),
    ...attended(`${layer}.encoder_attn`, ['q_proj', 'out_proj']),
    { name: `${layer}.fc1`, inFeatures: width, outFeatures: config.decoder_ffn_dim, places: 'target' },
    { name: `${layer}.fc2`, inFeatures: config.decoder_ffn_dim, outFeatures: width, places: 'target' }
  ])
  return [
    { name: encoderTokens, inFeatures: vocabulary, outFeatures: width, embedding: true },
    ...encoder,
    { name: decoderTokens, inFeatures: vocabulary, outFeatures: width, embedding: true, places: 'target' },
    ...decoder,
    { name: HEAD, inFeatures: width, outFeatures: vocabulary, places: 'target' }
  ]
}

/** Names and shapes of all weights, as transformers' `BartForConditionalGeneration` saves them. */
function * shapesOf (config: BartConfig): Generator<[name: string, shape: number[]]> {
  const { d_model: width, vocab_size: vocabulary, max_position_embeddings: positions } = config
  yield [LOGITS_BIAS, [1, vocabulary]]
  yield [EMBEDDING, [vocabulary, width]]
  for (const stack of ['encoder', 'decoder']) yield [`model.${stack}.embed_positions.weight`, [positions + FIRST_POSITION, width]]
  for (const { name, inFeatures, outFeatures, embedding = false } of sitesOf(config)) {
    if (name === HEAD || embedding) continue
    yield [`${name}.weight`, [outFeatures, inFeatures]]
    yield [`${name}.bias`, [outFeatures]]
  }
  for (const norm of normsOf(config)) {
    yield [`${norm}.weight`, [width]]
    yield [`${norm}.bias`, [width]]
  }
}

function normsOf ({ encoder_layers: encoderLayers, decoder_layers: decoderLayers }: BartConfig): string[] {
  return [
    'model.encoder.layernorm_embedding',
    'model.decoder.layernorm_embedding',
    ...layersOf('encoder', encoderLayers).flatMap(layer => [`${layer}.self_attn_layer_norm`, `${layer}.final_layer_norm`]),
    ...layersOf('decoder', decoderLayers).flatMap(layer => [`${layer}.self_attn_layer_norm`, `${layer}.encoder_attn_layer_norm`, `${layer}.final_layer_norm`])
  ]
}

function layersOf (stack: string, count: number): string[] {
  return Array.from({ length: count }, (_, layer) => `model.${stack}.layers.${layer}`)
}
