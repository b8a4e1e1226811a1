import * as tf from '@tensorflow/tfjs'
import type { Site } from '../../types.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { attention, bidirectionalBias } from '../layers/attention.js'
import { firstOfRows } from '../layers/first-of-rows.js'
import { intoHeads, outOfHeads } from '../layers/heads.js'
import { Modules } from '../layers/modules.js'
import { layerNorm } from '../layers/norms.js'
import type { NetworkInfo, Parameters, SequenceClassifier, SiteWeight, Tap, Tokens } from '../network.js'
import type { BertSettings } from './bert-config.js'

/**
 * BERT (arXiv 1810.04805), and what differs from it in details: RoBERTa (arXiv 1907.11692). What the last layer makes of
 * the first token gives the class, or the number. transformers' module names; weights of linear modules are `[out, in]`.
 */
export class Bert implements SequenceClassifier {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix: string
  readonly #settings: BertSettings

  constructor (settings: BertSettings) {
    const { kind, positions, uncounted = -1, vocabSize, tokenTypes, labels } = settings
    this.#settings = settings
    this.prefix = `${kind}.`
    this.info = {
      task: 'SEQ_CLS',
      sites: sitesOf(settings),
      output: HEADS[kind].output,
      defaultSites: ['query', 'value'],
      fanInFanOut: false,
      positions: positions - uncounted - 1,
      vocabSize,
      tokenTypes,
      labels
    }
    this.weights = new Map(shapesOf(settings))
  }

  /** Layer norms have TensorFlow's names in the first files. */
  aliases (weight: string): string[] {
    return [weight.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta')]
  }

  siteWeight (site: string): SiteWeight {
    return { name: `${site}.weight`, layout: site === embeddingOf(this.#settings) ? 'in-out' : 'out-in' }
  }

  logits (parameters: Parameters, { inputIds, ...visibility }: Tokens, tokenTypes: tf.Tensor2D, tap: Tap): tf.Tensor2D {
    const pass = new Pass(this.#settings, parameters, new Modules(this, parameters, tap))
    const bias = bidirectionalBias(visibility) // [rows, 1, 1, length]
    let h = pass.embeddings(inputIds, tokenTypes) // [tokens, width]
    for (let layer = 0; layer < this.#settings.layers; layer++) h = pass.layer(layer, h, bias)
    return pass.head(firstOfRows(h, inputIds.shape[0]))
  }
}

/** The modules of one pass. */
class Pass {
  readonly #settings: BertSettings
  readonly #parameters: Parameters
  readonly #modules: Modules

  constructor (settings: BertSettings, parameters: Parameters, modules: Modules) {
    this.#settings = settings
    this.#parameters = parameters
    this.#modules = modules
  }

  embeddings (inputIds: tf.Tensor2D, tokenTypes: tf.Tensor2D): tf.Tensor2D {
    const { kind, uncounted } = this.#settings
    const positions = uncounted === undefined ? inOrder(inputIds) : countsOf(inputIds, uncounted) // [rows, length]
    const words = this.#modules.embedding(embeddingOf(this.#settings), inputIds) // [tokens, width]
    const typed = tf.add<tf.Tensor2D>(words, this.#rowsOf('token_type', tokenTypes)) // [tokens, width]
    return this.#norm(`${kind}.embeddings`, tf.add(typed, this.#rowsOf('position', positions))) // [tokens, width]
  }

  layer (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const name = `${this.#settings.kind}.encoder.layer.${layer}`
    const attended = this.#norm(`${name}.attention.output`, tf.add(x, this.#attention(`${name}.attention`, x, bias))) // [tokens, width]
    return this.#norm(`${name}.output`, tf.add(attended, this.#mlp(name, attended))) // [tokens, width]
  }

  /** @param x of the first token of each row, `[rows, width]` */
  head (x: tf.Tensor2D): tf.Tensor2D {
    const { dense, output } = HEADS[this.#settings.kind]
    return this.#linear(output, tf.tanh(this.#linear(dense, x))) // [rows, labels]
  }

  #attention (name: string, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const { heads, width } = this.#settings
    const [rows] = bias.shape // [rows, 1, 1, length]
    const project = (part: string): tf.Tensor4D => intoHeads(this.#linear(`${name}.self.${part}`, x), rows, heads) // [rows, heads, length, width / heads]
    const context = attention(project('query'), project('key'), project('value'), bias, 1 / Math.sqrt(width / heads)) // [rows, heads, length, width / heads]
    return this.#linear(`${name}.output.dense`, outOfHeads(context)) // [tokens, width]
  }

  #mlp (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const hidden = this.#linear(`${name}.intermediate.dense`, x) // [tokens, inner]
    return this.#linear(`${name}.output.dense`, ACTIVATIONS[this.#settings.activation](hidden)) // [tokens, width]
  }

  /** Of a table that all texts share, and so no trainer adapts. */
  #rowsOf (name: string, ids: tf.Tensor2D): tf.Tensor2D {
    const table = this.#parameters.tensor<tf.Tensor2D>(`${this.#settings.kind}.embeddings.${name}_embeddings.weight`) // [ids, width]
    return tf.gather(table, tf.reshape(ids, [-1])) // [tokens, width]
  }

  #linear (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.linear(name, x, { bias: true })
  }

  #norm (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const { tensor } = this.#parameters
    return layerNorm(x, tensor(`${name}.LayerNorm.weight`), tensor(`${name}.LayerNorm.bias`), this.#settings.epsilon)
  }
}

/** The two modules between the first token and what is said of it. */
const HEADS = {
  bert: { dense: 'bert.pooler.dense', output: 'classifier' },
  roberta: { dense: 'classifier.dense', output: 'classifier.out_proj' }
} as const

function embeddingOf ({ kind }: BertSettings): string {
  return `${kind}.embeddings.word_embeddings`
}

/** Each token's place in its row, `[rows, length]`. */
function inOrder ({ shape: [rows, length] }: tf.Tensor2D): tf.Tensor2D {
  return tf.tile(tf.reshape<tf.Rank.R2>(tf.range(0, length, 1, 'int32'), [1, length]), [rows, 1])
}

/** How many tokens of its row there are up to each, beyond the number of the one that is not counted, which has that number; `[rows, length]`. */
function countsOf (inputIds: tf.Tensor2D, uncounted: number): tf.Tensor2D {
  const [, length] = inputIds.shape
  const counted = tf.cast(tf.notEqual<tf.Tensor2D>(inputIds, uncounted), 'float32') // [rows, length]
  const upTo = tf.tensor2d(Float32Array.from({ length: length * length }, (_, i) => Math.floor(i / length) <= i % length ? 1 : 0), [length, length])
  const counts: tf.Tensor2D = tf.mul(tf.matMul(counted, upTo), counted) // [rows, length]
  return tf.cast(tf.add<tf.Tensor2D>(counts, uncounted), 'int32')
}

function sitesOf (settings: BertSettings): Site[] {
  const { kind, layers, width, inner, vocabSize, labels } = settings
  const names = Array.from({ length: layers }, (_, layer) => `${kind}.encoder.layer.${layer}`)
  const { dense, output } = HEADS[kind]
  return [
    { name: embeddingOf(settings), inFeatures: vocabSize, outFeatures: width, embedding: true },
    ...names.flatMap(name => [
      { name: `${name}.attention.self.query`, inFeatures: width, outFeatures: width },
      { name: `${name}.attention.self.key`, inFeatures: width, outFeatures: width },
      { name: `${name}.attention.self.value`, inFeatures: width, outFeatures: width },
      { name: `${name}.attention.output.dense`, inFeatures: width, outFeatures: width },
      { name: `${name}.intermediate.dense`, inFeatures: width, outFeatures: inner },
      { name: `${name}.output.dense`, inFeatures: inner, outFeatures: width }
    ]),
    { name: dense, inFeatures: width, outFeatures: width, places: 1 },
    { name: output, inFeatures: width, outFeatures: Math.max(1, labels.length), places: 1 }
  ]
}

/** Names and shapes of all weights, as transformers' `BertForSequenceClassification` and `RobertaForSequenceClassification` save them. */
function * shapesOf (settings: BertSettings): Generator<[name: string, shape: number[]]> {
  const { kind, layers, width, vocabSize, positions, tokenTypes } = settings
  yield [`${embeddingOf(settings)}.weight`, [vocabSize, width]]
  yield [`${kind}.embeddings.position_embeddings.weight`, [positions, width]]
  yield [`${kind}.embeddings.token_type_embeddings.weight`, [tokenTypes, width]]
  for (const { name, inFeatures, outFeatures, embedding = false } of sitesOf(settings)) {
    if (embedding) continue
    yield [`${name}.weight`, [outFeatures, inFeatures]]
    yield [`${name}.bias`, [outFeatures]]
  }
  const normed = Array.from({ length: layers }, (_, layer) => [`${kind}.encoder.layer.${layer}.attention.output`, `${kind}.encoder.layer.${layer}.output`]).flat()
  for (const name of [`${kind}.embeddings`, ...normed]) {
    yield [`${name}.LayerNorm.weight`, [width]]
    yield [`${name}.LayerNorm.bias`, [width]]
  }
}
