import type * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../engine/step.js'
import type { Site } from '../types.js'
import type { Visibility } from './layers/attention.js'

/**
 * Stands at every site of a network: sees the module's input and output, and returns the output to go on with.
 *
 * @param x `[tokens, in]`
 * @param output f_m(x), `[tokens, out]`
 */
export type Tap = (site: Site, x: tf.Tensor2D, output: tf.Tensor2D) => tf.Tensor2D

/** The tokens of one batch. */
export interface Tokens extends Visibility {
  /** Integers, `[rows, length]`. */
  readonly inputIds: tf.Tensor2D
  /** What each layer makes of its keys and values before it uses them: those of earlier tokens may come first. @default nothing */
  readonly remember?: (layer: number, made: KeyValue) => KeyValue
}

/** Of one layer, `[rows, groups, length, size]` each. */
export interface KeyValue {
  readonly key: tf.Tensor4D
  readonly value: tf.Tensor4D
}

/** What can be said of a base model without its weights. */
export interface NetworkInfo {
  /** Every module that can be adapted. */
  readonly sites: readonly Site[]
  /** The site that gives the output, which `all-linear` leaves out. */
  readonly output: string
  /** PEFT's default for this architecture: names that `selectSites` understands. */
  readonly defaultSites: readonly string[]
  /** Whether its linear modules store weights as `[in, out]` (transformers' Conv1D): PEFT's `fan_in_fan_out`. */
  readonly fanInFanOut: boolean
  /** The longest row, in tokens. */
  readonly positions: number
  readonly vocabSize: number
}

/** The weights that a network computes with. */
export interface Parameters {
  /** By transformers' name. */
  readonly tensor: TensorsByName
  /** Of a site's module, in the layout of `siteWeight`: θ, or θ + αΔW where it is merged. */
  readonly weight: (site: string) => tf.Tensor2D
}

/** Where the weight of a site's module lies. */
export interface SiteWeight {
  /** By transformers' name. */
  readonly name: string
  /** `in-out` for transformers' Conv1D, `out-in` for PyTorch's Linear. */
  readonly layout: 'in-out' | 'out-in'
}

/** A frozen base model f, written once in plain TensorFlow.js. */
export interface Network {
  readonly info: NetworkInfo

  /** Shapes of all weights by transformers' names, in the order that the model's id is made in. */
  readonly weights: ReadonlyMap<string, readonly number[]>

  /** What the names of weights begin with that the same model without its head has not. */
  readonly prefix: string

  siteWeight (site: string): SiteWeight

  /** `[rows, length, vocabulary]`. Pure: may run under `tf.valueAndGrads`, and be recorded. */
  logits (parameters: Parameters, tokens: Tokens, tap: Tap): tf.Tensor3D
}
