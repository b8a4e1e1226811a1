import * as tf from '@tensorflow/tfjs'
import type { Site } from '../../types.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { attention, causalBias } from '../layers/attention.js'
import { Modules } from '../layers/modules.js'
import { rmsNorm } from '../layers/norms.js'
import { rotate, type Rotations, rotations, rotationsAt } from '../layers/rope.js'
import type { CausalNetwork, NetworkInfo, Parameters, Remembered, SiteWeight, Tap, Tokens } from '../network.js'
import type { LlamaSettings } from './llama-config.js'

/**
 * Llama (arXiv 2302.13971, 2307.09288, 2407.21783), and what differs from it in details: Mistral (arXiv 2310.06825), Qwen 2
 * (arXiv 2407.10671) and Qwen 3 (arXiv 2505.09388). transformers' module names; weights of linear modules are `[out, in]`.
 */
export class Llama implements CausalNetwork {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix = 'model.'
  readonly #settings: LlamaSettings

  constructor (settings: LlamaSettings) {
    this.#settings = settings
    this.info = {
      task: 'CAUSAL_LM',
      sites: sitesOf(settings),
      output: HEAD,
      defaultSites: ['q_proj', 'v_proj'],
      fanInFanOut: false,
      positions: settings.positions,
      vocabSize: settings.vocabSize,
      labels: []
    }
    this.weights = new Map(shapesOf(settings))
  }

  siteWeight (site: string): SiteWeight {
    if (site === EMBEDDING) return { name: `${EMBEDDING}.weight`, layout: 'in-out' }
    return { name: `${site === HEAD && this.#settings.tied ? EMBEDDING : site}.weight`, layout: 'out-in' }
  }

  logits (parameters: Parameters, { inputIds, remember, ...visibility }: Tokens & Remembered, tap: Tap): tf.Tensor2D {
    const { layers, windows, size, rope } = this.#settings
    const [, length] = inputIds.shape
    const biases = new Map([...new Set(windows)].map(window => [window, causalBias(visibility, window)]))
    const turns = visibility.positions === undefined ? rotations(rope, length, size) : rotationsAt(rope, visibility.positions, size)
    const modules = new Modules(this, parameters, tap)
    const pass = new Pass(this.#settings, parameters, modules, turns, remember)
    let h = modules.embedding(EMBEDDING, inputIds) // [tokens, width]
    for (let layer = 0; layer < layers; layer++) h = pass.layer(layer, h, biases.get(windows[layer]) as tf.Tensor4D)
    return pass.head(h)
  }
}

/** The modules of one pass. */
class Pass {
  readonly #settings: LlamaSettings
  readonly #parameters: Parameters
  readonly #modules: Modules
  readonly #rotations: Rotations
  readonly #remember: NonNullable<Remembered['remember']>

  constructor (settings: LlamaSettings, parameters: Parameters, modules: Modules, rotations: Rotations, remember: Remembered['remember'] = (_, made) => made) {
    this.#settings = settings
    this.#parameters = parameters
    this.#modules = modules
    this.#rotations = rotations
    this.#remember = remember
  }

  layer (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const name = `model.layers.${layer}`
    const attended = tf.add<tf.Tensor2D>(x, this.#attention(layer, this.#norm(`${name}.input_layernorm`, x), bias)) // [tokens, width]
    return tf.add(attended, this.#mlp(`${name}.mlp`, this.#norm(`${name}.post_attention_layernorm`, attended))) // [tokens, width]
  }

  head (x: tf.Tensor2D): tf.Tensor2D {
    return this.#modules.linear(HEAD, this.#norm('model.norm', x), { bias: false }) // [tokens, vocabulary]
  }

  #attention (layer: number, x: tf.Tensor2D, bias: tf.Tensor4D): tf.Tensor2D {
    const { heads, groups, size, bias: has, normalised } = this.#settings
    const [rows, , length] = bias.shape // [rows, 1, length, keys]
    const name = `model.layers.${layer}.self_attn`
    const project = (part: string): tf.Tensor2D => tf.reshape(this.#modules.linear(`${name}.${part}_proj`, x, { bias: has.queryKeyValue }), [-1, size]) // [tokens·heads, size]
    const inHeads = (y: tf.Tensor2D, count: number): tf.Tensor4D => tf.transpose(tf.reshape(y, [rows, length, count, size]), [0, 2, 1, 3]) // [rows, count, length, size]
    const turned = (part: string, count: number): tf.Tensor4D => {
      const y = project(part)
      return rotate(inHeads(normalised ? this.#norm(`${name}.${part}_norm`, y) : y, count), this.#rotations)
    }
    const query = turned('q', heads) // [rows, heads, length, size]
    const { key, value } = this.#remember(layer, { key: turned('k', groups), value: inHeads(project('v'), groups) }) // [rows, groups, keys, size]
    const context = attention(query, key, value, bias, 1 / Math.sqrt(size)) // [rows, heads, length, size]
    return this.#modules.linear(`${name}.o_proj`, tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, heads * size]), { bias: has.output }) // [tokens, width]
  }

  #mlp (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const { activation, bias: { mlp: bias } } = this.#settings
    const gate = ACTIVATIONS[activation](this.#modules.linear(`${name}.gate_proj`, x, { bias })) // [tokens, inner]
    const up = this.#modules.linear(`${name}.up_proj`, x, { bias }) // [tokens, inner]
    return this.#modules.linear(`${name}.down_proj`, tf.mul(gate, up), { bias }) // [tokens, width]
  }

  #norm (name: string, x: tf.Tensor2D): tf.Tensor2D {
    return rmsNorm(x, this.#parameters.tensor(`${name}.weight`), this.#settings.epsilon)
  }
}

const HEAD = 'lm_head'
const EMBEDDING = 'model.embed_tokens'

function sitesOf ({ layers, width, inner, heads, groups, size, vocabSize }: LlamaSettings): Site[] {
  const names = Array.from({ length: layers }, (_, layer) => `model.layers.${layer}`)
  return [
    { name: EMBEDDING, inFeatures: vocabSize, outFeatures: width, embedding: true },
    ...names.flatMap(name => [
      { name: `${name}.self_attn.q_proj`, inFeatures: width, outFeatures: heads * size },
      { name: `${name}.self_attn.k_proj`, inFeatures: width, outFeatures: groups * size },
      { name: `${name}.self_attn.v_proj`, inFeatures: width, outFeatures: groups * size },
      { name: `${name}.self_attn.o_proj`, inFeatures: heads * size, outFeatures: width },
      { name: `${name}.mlp.gate_proj`, inFeatures: width, outFeatures: inner },
      { name: `${name}.mlp.up_proj`, inFeatures: width, outFeatures: inner },
      { name: `${name}.mlp.down_proj`, inFeatures: inner, outFeatures: width }
    ]),
    { name: HEAD, inFeatures: width, outFeatures: vocabSize }
  ]
}

/** Names and shapes of all weights, as transformers saves them. */
function * shapesOf (settings: LlamaSettings): Generator<[name: string, shape: number[]]> {
  const { layers, width, size, vocabSize, tied, normalised } = settings
  yield [`${EMBEDDING}.weight`, [vocabSize, width]]
  for (const { name, inFeatures, outFeatures, embedding = false } of sitesOf(settings)) {
    if (name === HEAD || embedding) continue
    yield [`${name}.weight`, [outFeatures, inFeatures]]
    if (hasBias(settings, name)) yield [`${name}.bias`, [outFeatures]]
  }
  for (let layer = 0; layer < layers; layer++) {
    const name = `model.layers.${layer}`
    yield [`${name}.input_layernorm.weight`, [width]]
    yield [`${name}.post_attention_layernorm.weight`, [width]]
    if (!normalised) continue
    yield [`${name}.self_attn.q_norm.weight`, [size]]
    yield [`${name}.self_attn.k_norm.weight`, [size]]
  }
  yield ['model.norm.weight', [width]]
  if (!tied) yield [`${HEAD}.weight`, [vocabSize, width]]
}

function hasBias ({ bias: { queryKeyValue, output, mlp } }: LlamaSettings, name: string): boolean {
  if (name.includes('.mlp.')) return mlp
  return name.endsWith('.o_proj') ? output : queryKeyValue
}
