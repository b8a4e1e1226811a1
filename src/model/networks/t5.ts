import * as tf from '@tensorflow/tfjs'
import type { Site } from '../../types.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { attention, bidirectionalBias, causalBias, type Visibility } from '../layers/attention.js'
import { intoHeads, outOfHeads } from '../layers/heads.js'
import { Modules } from '../layers/modules.js'
import { rmsNorm } from '../layers/norms.js'
import { type Buckets, relativeBias } from '../layers/relative-positions.js'
import type { KeyValue, NetworkInfo, Parameters, Remembered, Seq2SeqNetwork, SiteWeight, Tap, Tokens } from '../network.js'
import type { T5Settings } from './t5-config.js'

/**
 * T5 (arXiv 1910.10683) and what followed it with gates and a head of its own (T5 1.1, Flan-T5). transformers' module names;
 * weights of linear modules are `[out, in]`.
 */
export class T5 implements Seq2SeqNetwork {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix = ''
  readonly decoderStart: number
  readonly padding: number
  readonly #settings: T5Settings

  constructor (settings: T5Settings) {
    this.#settings = settings
    this.info = {
      task: 'SEQ_2_SEQ_LM',
      sites: sitesOf(settings),
      output: HEAD,
      defaultSites: ['q', 'v'],
      fanInFanOut: false,
      positions: settings.positions,
      vocabSize: settings.vocabSize,
      labels: []
    }
    this.weights = new Map(shapesOf(settings))
    this.decoderStart = settings.decoderStart
    this.padding = settings.padding
  }

  readonly aliases = (weight: string): readonly string[] => {
    const embeddings = Object.values(EMBEDDINGS).map(name => `${name}.weight`)
    switch (weight) {
      case EMBEDDING: return this.#settings.tied ? [...embeddings, HEAD_WEIGHT] : embeddings
      case HEAD_WEIGHT: return [EMBEDDING, ...embeddings]
      default: return []
    }
  }

  siteWeight (site: string): SiteWeight {
    if (Object.values(EMBEDDINGS).includes(site)) return { name: EMBEDDING, layout: 'in-out' }
    return { name: site === HEAD && this.#settings.tied ? EMBEDDING : `${site}.weight`, layout: 'out-in' }
  }

  encode (parameters: Parameters, { inputIds, ...visibility }: Tokens, tap: Tap): tf.Tensor2D {
    const pass = new Pass(this.#settings, parameters, new Modules(this, parameters, tap))
    const bias = tf.add<tf.Tensor4D>(bidirectionalBias(visibility), pass.relativeBias('encoder', inputIds, visibility)) // [rows, heads, length, length]
    let h = pass.embed('encoder', inputIds) // [tokens, width]
    for (let layer = 0; layer < this.#settings.layers.encoder; layer++) h = pass.encoderLayer(layer, h, bias)
    return pass.norm('encoder.final_layer_norm', h)
  }

  look (parameters: Parameters, encoded: tf.Tensor2D, rows: number, tap: Tap): KeyValue[] {
    const pass = new Pass(this.#settings, parameters, new Modules(this, parameters, tap))
    return Array.from({ length: this.#settings.layers.decoder }, (_, layer) => pass.look(layer, encoded, rows))
  }

  decode (parameters: Parameters, { inputIds, remember, ...visibility }: Tokens & Remembered, looked: readonly KeyValue[], source: Visibility, tap: Tap): tf.Tensor2D {
    const pass = new Pass(this.#settings, parameters, new Modules(this, parameters, tap), remember)
    const own = tf.add<tf.Tensor4D>(causalBias(visibility), pass.relativeBias('decoder', inputIds, visibility)) // [rows, heads, target, keys]
    const biases = { own, source: bidirectionalBias(source) }
    let h = pass.embed('decoder', inputIds) // [target tokens, width]
    for (const [layer, seen] of looked.entries()) h = pass.decoderLayer(layer, h, seen, biases)
    return pass.head(h)
  }
}

/** What is added to the scores in a decoder: `[rows, heads, target, keys]` and `[rows, 1, 1, length]`. */
interface Biases {
  readonly own: tf.Tensor4D
  readonly source: tf.Tensor4D
}

/** The modules of one pass. */
class Pass {
  readonly #settings: T5Settings
  readonly #parameters: Parameters
  readonly #modules: Modules
  readonly #remember: NonNullable<Remembered['remember']>

  constructor (settings: T5Settings, parameters: Parameters, modules: Modules, remember: Remembered['remember'] = (_, made) => made) {
    this.#settings = settings
    this.#parameters = parameters
    this.#modules = modules
    this.#remember = remember
  }

  embed (stack: Stack, inputIds: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.embedding(EMBEDDINGS[stack], inputIds) // [tokens, width]
  }

  /** The first layer has it for all: `[1, heads, length, keys]`. */
  relativeBias (stack: Stack, { shape: [, length] }: tf.Tensor2D, { positions }: Visibility): tf.Tensor4D {
    const { buckets: count, farthest } = this.#settings
    const buckets: Buckets = { count, farthest, bothWays: stack === 'encoder' }
    const table = this.#parameters.tensor<tf.Tensor2D>(relativeTable(stack)) // [buckets, heads]
    const counted = tf.range(0, length, 1, 'int32') // [length]
    return relativeBias(table, buckets, positions ?? { queries: counted, keys: counted })
  }

  encoderLayer (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const [attentive, feedForward] = [0, 1].map(part => `encoder.block.${layer}.layer.${part}`)
    const attended = tf.add<tf.Tensor2D>(x, this.#selfAttention(attentive, x, bias, made => made)) // [tokens, width]
    return tf.add(attended, this.#mlp(feedForward, attended)) // [tokens, width]
  }

  decoderLayer (layer: number, x: tf.Tensor2D, looked: KeyValue, biases: Biases): tf.Tensor2D {
    const [attentive, across, feedForward] = [0, 1, 2].map(part => `decoder.block.${layer}.layer.${part}`)
    const attended = tf.add<tf.Tensor2D>(x, this.#selfAttention(attentive, x, biases.own, made => this.#remember(layer, made))) // [target tokens, width]
    const normal = this.norm(`${across}.layer_norm`, attended)
    const seen = tf.add<tf.Tensor2D>(attended, this.#attention(`${across}.EncDecAttention`, normal, looked, biases.source)) // [target tokens, width]
    return tf.add(seen, this.#mlp(feedForward, seen)) // [target tokens, width]
  }

  look (layer: number, encoded: tf.Tensor2D, rows: number): KeyValue {
    return this.#keyValue(`decoder.block.${layer}.layer.1.EncDecAttention`, encoded, rows)
  }

  head (x: tf.Tensor2D): tf.Tensor2D {
    const { tied, width } = this.#settings
    const normal = this.norm('decoder.final_layer_norm', x)
    return this.#linear(HEAD, tied ? tf.mul<tf.Tensor2D>(normal, width ** -0.5) : normal) // [target tokens, vocabulary]
  }

  norm (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return rmsNorm(x, this.#parameters.tensor(`${name}.weight`), this.#settings.epsilon)
  }

  #selfAttention (layer: string, x: tf.Tensor2D, bias: tf.Tensor4D, remember: (made: KeyValue) => KeyValue): tf.Tensor2D {
    const [rows] = bias.shape
    const normal = this.norm(`${layer}.layer_norm`, x) // [tokens, width]
    return this.#attention(`${layer}.SelfAttention`, normal, remember(this.#keyValue(`${layer}.SelfAttention`, normal, rows)), bias)
  }

  #keyValue (name: string, x: tf.Tensor2D, rows: number): KeyValue {
    const made = (part: string): tf.Tensor4D => intoHeads(this.#linear(`${name}.${part}`, x), rows, this.#settings.heads)
    return { key: made('k'), value: made('v') } // [rows, heads, length, size]
  }

  #attention (name: string, x: tf.Tensor2D, { key, value }: KeyValue, bias: tf.Tensor4D): tf.Tensor2D {
    const [rows, heads] = key.shape
    const query = intoHeads(this.#linear(`${name}.q`, x), rows, heads) // [rows, heads, length, size]
    return this.#linear(`${name}.o`, outOfHeads(attention(query, key, value, bias, 1))) // [tokens, width]
  }

  #mlp (layer: string, x: tf.Tensor2D): tf.Tensor2D {
    const { activation, gated } = this.#settings
    const name = `${layer}.DenseReluDense`
    const normal = this.norm(`${layer}.layer_norm`, x) // [tokens, width]
    const active = ACTIVATIONS[activation](this.#linear(`${name}.${gated ? 'wi_0' : 'wi'}`, normal)) // [tokens, inner]
    return this.#linear(`${name}.wo`, gated ? tf.mul<tf.Tensor2D>(active, this.#linear(`${name}.wi_1`, normal)) : active) // [tokens, width]
  }

  #linear (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.linear(name, x, { bias: false })
  }
}

type Stack = 'encoder' | 'decoder'

const HEAD = 'lm_head'
const HEAD_WEIGHT = `${HEAD}.weight`
const EMBEDDING = 'shared.weight'
const EMBEDDINGS: Readonly<Record<Stack, string>> = { encoder: 'encoder.embed_tokens', decoder: 'decoder.embed_tokens' }

function relativeTable (stack: Stack): string {
  return `${stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`
}

/** Of the decoder all stand at the tokens of the target, but what makes keys and values of the source. */
function sitesOf ({ layers, width, inner, heads, size, gated, vocabSize }: T5Settings): Site[] {
  const all = heads * size
  const attended = (name: string, atTarget: readonly string[]): Site[] => ['q', 'k', 'v', 'o'].map(part => ({
    name: `${name}.${part}`,
    ...(part === 'o' ? { inFeatures: all, outFeatures: width } : { inFeatures: width, outFeatures: all }),
    ...(atTarget.includes(part) ? { places: 'target' } : {})
  }))
  const mlp = (name: string, places: Pick<Site, 'places'>): Site[] => [
    ...(gated ? ['wi_0', 'wi_1'] : ['wi']).map(part => ({ name: `${name}.DenseReluDense.${part}`, inFeatures: width, outFeatures: inner, ...places })),
    { name: `${name}.DenseReluDense.wo`, inFeatures: inner, outFeatures: width, ...places }
  ]
  const encoder = blocksOf('encoder', layers.encoder).flatMap(block => [...attended(`${block}.layer.0.SelfAttention`, []), ...mlp(`${block}.layer.1`, {})])
  const decoder = blocksOf('decoder', layers.decoder).flatMap(block => [
    ...attended(`${block}.layer.0.SelfAttention`, ['q', 'k', 'v', 'o']),
    ...attended(`${block}.layer.1.EncDecAttention`, ['q', 'o']),
    ...mlp(`${block}.layer.2`, { places: 'target' })
  ])
  return [
    { name: EMBEDDINGS.encoder, inFeatures: vocabSize, outFeatures: width, embedding: true },
    ...encoder,
    { name: EMBEDDINGS.decoder, inFeatures: vocabSize, outFeatures: width, embedding: true, places: 'target' },
    ...decoder,
    { name: HEAD, inFeatures: width, outFeatures: vocabSize, places: 'target' }
  ]
}

/** Names and shapes of all weights, as transformers' `T5ForConditionalGeneration` saves them. */
function * shapesOf (settings: T5Settings): Generator<[name: string, shape: number[]]> {
  const { layers, width, heads, buckets, vocabSize, tied } = settings
  yield [EMBEDDING, [vocabSize, width]]
  for (const { name, inFeatures, outFeatures, embedding = false } of sitesOf(settings)) {
    if (!embedding && (name !== HEAD || !tied)) yield [`${name}.weight`, [outFeatures, inFeatures]]
  }
  for (const [stack, parts] of [['encoder', 2], ['decoder', 3]] as const) {
    yield [relativeTable(stack), [buckets, heads]]
    for (const block of blocksOf(stack, layers[stack])) {
      for (let part = 0; part < parts; part++) yield [`${block}.layer.${part}.layer_norm.weight`, [width]]
    }
    yield [`${stack}.final_layer_norm.weight`, [width]]
  }
}

function blocksOf (stack: Stack, count: number): string[] {
  return Array.from({ length: count }, (_, block) => `${stack}.block.${block}`)
}
