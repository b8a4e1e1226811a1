import * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import type { Convolution, Site } from '../../types.js'
import { outputSize } from '../../places.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { attention } from '../layers/attention.js'
import { intoHeads, outOfHeads } from '../layers/heads.js'
import { pixelsOf } from '../layers/images.js'
import { Modules } from '../layers/modules.js'
import { layerNorm } from '../layers/norms.js'
import type { ImageClassifier, NetworkInfo, Parameters, SiteWeight, Tap } from '../network.js'
import { defaultImageConfig, sides } from './image-config.js'

const size = z.number().int().positive()

/** What of a ViT `config.json` changes the numbers, with transformers' defaults. */
export const vitConfig = z.object({
  hidden_size: size.default(768),
  num_hidden_layers: size.default(12),
  num_attention_heads: size.default(12),
  intermediate_size: size.default(3072),
  hidden_act: z.enum(Object.keys(ACTIVATIONS)).default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-12),
  patch_size: sides.default([16, 16]),
  qkv_bias: z.boolean().default(true)
}).and(defaultImageConfig).check(({ value: { hidden_size: width, num_attention_heads: heads, patch_size: [down, across], image: { height, width: breadth } }, issues }) => {
  const refuse = (input: unknown, message: string): void => { issues.push({ code: 'custom', input, message }) }
  if (width % heads !== 0) refuse(width, 'hidden_size must be a multiple of num_attention_heads')
  if (down > height || across > breadth) refuse([down, across], `an image of ${height} by ${breadth} pixels has no patch of ${down} by ${across}`)
})

export type VitConfig = z.infer<typeof vitConfig>

/** ViT (arXiv 2010.11929) as transformers' `ViTForImageClassification`, with its module names. Weights of linear modules are `[out, in]`. */
export class Vit implements ImageClassifier {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix = 'vit.'
  readonly #config: VitConfig

  constructor (config: VitConfig) {
    this.#config = config
    this.info = {
      task: 'IMAGE_CLS',
      sites: sitesOf(config),
      output: HEAD,
      defaultSites: ['q_proj', 'v_proj'],
      fanInFanOut: false,
      positions: 0,
      vocabSize: 0,
      labels: config.labels,
      image: config.image
    }
    this.weights = new Map(shapesOf(config))
  }

  siteWeight (site: string): SiteWeight {
    return { name: `${site}.weight`, layout: 'out-in' }
  }

  /** The name that files have: transformers renamed the modules in version 5, but not in what it saves. */
  aliases (weight: string): readonly string[] {
    const former = FORMER_NAMES.reduce((name, [ours, theirs]) => name.replace(ours, theirs), weight)
    return former === weight ? [] : [former]
  }

  logits (parameters: Parameters, pixels: tf.Tensor4D, tap: Tap): tf.Tensor2D {
    const pass = new Pass(this.#config, parameters, new Modules(this, parameters, tap), pixels.shape[0])
    let h = pass.embed(pixels) // [tokens, width]
    for (let layer = 0; layer < this.#config.num_hidden_layers; layer++) h = pass.layer(layer, h)
    return pass.head(h)
  }
}

/** The modules of one pass. A token is a patch, or stands before those of its image for the whole of it. */
class Pass {
  readonly #config: VitConfig
  readonly #parameters: Parameters
  readonly #modules: Modules
  readonly #rows: number

  constructor (config: VitConfig, parameters: Parameters, modules: Modules, rows: number) {
    this.#config = config
    this.#parameters = parameters
    this.#modules = modules
    this.#rows = rows
  }

  embed (pixels: tf.Tensor4D): tf.Tensor2D {
    const { hidden_size: width } = this.#config
    const { tensor } = this.#parameters
    const patches = tf.reshape(this.#linear(PROJECTION, pixelsOf(pixels)), [this.#rows, -1, width]) // [rows, patches, width]
    const first = tf.tile(tensor<tf.Tensor3D>(CLASS_TOKEN), [this.#rows, 1, 1]) // [rows, 1, width]
    return tf.reshape(tf.add(tf.concat([first, patches], 1), tensor(POSITIONS)), [-1, width]) // [tokens, width]
  }

  layer (layer: number, x: tf.Tensor2D): tf.Tensor2D {
    const name = `vit.layers.${layer}`
    const attended = tf.add<tf.Tensor2D>(x, this.#attention(`${name}.attention`, this.#norm(`${name}.layernorm_before`, x))) // [tokens, width]
    return tf.add(attended, this.#mlp(`${name}.mlp`, this.#norm(`${name}.layernorm_after`, attended))) // [tokens, width]
  }

  /** Of an image its first token alone counts. */
  head (x: tf.Tensor2D): tf.Tensor2D {
    const { hidden_size: width } = this.#config
    const tokens = tf.reshape<tf.Rank.R3>(x, [this.#rows, -1, width]) // [rows, patches + 1, width]
    const first = tf.reshape<tf.Rank.R2>(tf.slice(tokens, [0, 0, 0], [this.#rows, 1, width]), [-1, width]) // [rows, width]
    return this.#linear(HEAD, this.#norm('vit.layernorm', first)) // [rows, labels]
  }

  #attention (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const { hidden_size: width, num_attention_heads: heads, qkv_bias: bias } = this.#config
    const [query, key, value] = ['q', 'k', 'v'].map(part => intoHeads(this.#modules.linear(`${name}.${part}_proj`, x, { bias }), this.#rows, heads)) // [rows, heads, patches + 1, size]
    const everywhere = tf.zeros<tf.Rank.R4>([1, 1, 1, 1])
    const context = attention(query, key, value, everywhere, 1 / Math.sqrt(width / heads)) // [rows, heads, patches + 1, size]
    return this.#linear(`${name}.o_proj`, outOfHeads(context)) // [tokens, width]
  }

  #mlp (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const hidden = this.#linear(`${name}.fc1`, x) // [tokens, inner]
    return this.#linear(`${name}.fc2`, ACTIVATIONS[this.#config.hidden_act](hidden)) // [tokens, width]
  }

  #linear (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.linear(name, x, { bias: true })
  }

  #norm (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const { tensor } = this.#parameters
    return layerNorm(x, tensor(`${name}.weight`), tensor(`${name}.bias`), this.#config.layer_norm_eps)
  }
}

const HEAD = 'classifier'
const CLASS_TOKEN = 'vit.embeddings.cls_token'
const POSITIONS = 'vit.embeddings.position_embeddings'
const PROJECTION = 'vit.embeddings.patch_embeddings.projection'

const FORMER_NAMES: ReadonlyArray<readonly [ours: RegExp, theirs: string]> = [
  [/^vit\.layers\./, 'vit.encoder.layer.'],
  [/\.q_proj\./, '.attention.query.'],
  [/\.k_proj\./, '.attention.key.'],
  [/\.v_proj\./, '.attention.value.'],
  [/\.o_proj\./, '.output.dense.'],
  [/\.mlp\.fc1\./, '.intermediate.dense.'],
  [/\.mlp\.fc2\./, '.output.dense.']
]

/** Patches touch one another, and cover the image but for what is too little for one at its right and at its bottom. */
function patchesOf ({ image, patch_size: patch }: VitConfig): Convolution {
  return { ...image, kernel: patch, stride: patch, padding: [0, 0] }
}

function tokensOf (config: VitConfig): number {
  const [down, across] = outputSize(patchesOf(config))
  return 1 + down * across
}

function sitesOf (config: VitConfig): Site[] {
  const { hidden_size: width, intermediate_size: inner, num_hidden_layers: layers, image: { channels }, labels } = config
  const convolution = patchesOf(config)
  const [down, across] = convolution.kernel
  const places = tokensOf(config)
  const names = Array.from({ length: layers }, (_, layer) => `vit.layers.${layer}`)
  return [
    { name: PROJECTION, inFeatures: channels * down * across, outFeatures: width, convolution },
    ...names.flatMap(name => [
      ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map(part => ({ name: `${name}.attention.${part}`, inFeatures: width, outFeatures: width, places })),
      { name: `${name}.mlp.fc1`, inFeatures: width, outFeatures: inner, places },
      { name: `${name}.mlp.fc2`, inFeatures: inner, outFeatures: width, places }
    ]),
    { name: HEAD, inFeatures: width, outFeatures: labels.length, places: 1 }
  ]
}

/** Names and shapes of all weights, as transformers' `ViTForImageClassification` has them. */
function * shapesOf (config: VitConfig): Generator<[name: string, shape: number[]]> {
  const { hidden_size: width, num_hidden_layers: layers, image: { channels }, patch_size: patch, qkv_bias: bias } = config
  yield [CLASS_TOKEN, [1, 1, width]]
  yield [POSITIONS, [1, tokensOf(config), width]]
  for (const { name, inFeatures, outFeatures } of sitesOf(config)) {
    yield [`${name}.weight`, name === PROJECTION ? [outFeatures, channels, ...patch] : [outFeatures, inFeatures]]
    if (bias || !/\.[qkv]_proj$/.test(name)) yield [`${name}.bias`, [outFeatures]]
  }
  const norms = Array.from({ length: layers }, (_, layer) => [`vit.layers.${layer}.layernorm_before`, `vit.layers.${layer}.layernorm_after`]).flat()
  for (const norm of [...norms, 'vit.layernorm']) {
    yield [`${norm}.weight`, [width]]
    yield [`${norm}.bias`, [width]]
  }
}
