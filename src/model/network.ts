import type * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../engine/step.js'
import type { Site, Task } from '../types.js'
import type { Visibility } from './layers/attention.js'

/**
 * Stands at every site of a network: sees the module's input and output, and returns the output to go on with.
 *
 * @param x `[places, in]`, of an embedding integers, `[places, 1]`; see `places.ts`
 * @param output f_m(x), `[places, out]`
 * @param product the same without the module's bias
 */
export type Tap = (site: Site, x: tf.Tensor2D, output: tf.Tensor2D, product: tf.Tensor2D) => tf.Tensor2D

/** The tokens of one batch. */
export interface Tokens extends Visibility {
  /** Integers, `[rows, length]`. */
  readonly inputIds: tf.Tensor2D
}

/** Tokens that are looked at again when others have come after them. */
export interface Remembered {
  /** What each layer makes of its keys and values before it uses them: those of earlier tokens may come first. @default nothing */
  readonly remember?: (layer: number, made: KeyValue) => KeyValue
}

/** Of one layer, `[rows, groups, length, size]` each. */
export interface KeyValue {
  readonly key: tf.Tensor4D
  readonly value: tf.Tensor4D
}

/** Size of an image. */
export interface ImageSize {
  readonly channels: number
  /** In pixels. */
  readonly height: number
  /** In pixels. */
  readonly width: number
}

/** What can be said of a base model without its weights. */
export interface NetworkInfo {
  readonly task: Task
  /** Every module that can be adapted. */
  readonly sites: readonly Site[]
  /** The site that gives the output, which `all-linear` leaves out. */
  readonly output: string
  /** PEFT's default for this architecture: names that `selectSites` understands. */
  readonly defaultSites: readonly string[]
  /** Whether its linear modules store weights as `[in, out]` (transformers' Conv1D): PEFT's `fan_in_fan_out`. */
  readonly fanInFanOut: boolean
  /** The longest row, in tokens; 0 where a row is no text. */
  readonly positions: number
  /** 0 where a row is no text. */
  readonly vocabSize: number
  /** Kinds of tokens that a row may have, as those of two texts. @default 1 */
  readonly tokenTypes?: number
  /** Names of the classes that it tells apart; none where it gives a text, or a number. */
  readonly labels: readonly string[]
  /** What it looks at where a row is no text. */
  readonly image?: ImageSize
}

/** The weights that a network computes with. */
export interface Parameters {
  /** By transformers' name. */
  readonly tensor: TensorsByName
  /** Of a site's module, in the layout of `siteWeight`: θ, or θ + αΔW where it is merged. */
  readonly weight: (site: string) => tf.Tensor2D
  /** U `[out, r]` and V `[r, in]` of a site's module that is stored so and not merged. @default none is */
  readonly factors?: (site: string) => { readonly u: tf.Tensor2D, readonly v: tf.Tensor2D } | undefined
}

/** Where the weight of a site's module lies. */
export interface SiteWeight {
  /** By transformers' name. */
  readonly name: string
  /** `in-out` for transformers' Conv1D and PyTorch's Embedding, `out-in` for PyTorch's Linear, and for Conv2d, whose last three axes are one. */
  readonly layout: 'in-out' | 'out-in'
}

/** A frozen base model f, written once in plain TensorFlow.js. Its passes are pure: they may run under `tf.valueAndGrads`, and be recorded. */
interface BaseNetwork {
  readonly info: NetworkInfo

  /** Shapes of all weights by transformers' names, in the order that the model's id is made in. */
  readonly weights: ReadonlyMap<string, readonly number[]>

  /** What the names of weights begin with that the same model without its head has not. */
  readonly prefix: string

  /** What else a weight is called in files, older ones or those of transformers itself. @default nothing */
  readonly aliases?: (weight: string) => readonly string[]

  /** Weights that are zeros where the files have none. @default none are */
  readonly zeros?: ReadonlySet<string>

  /** Ranks of sites whose matrix is stored as two factors, see `factored.ts`. @default none is */
  readonly ranks?: ReadonlyMap<string, number>

  siteWeight (site: string): SiteWeight
}

/** Each token predicts the next. */
export interface CausalNetwork extends BaseNetwork {
  /** `[rows·length, vocabulary]` */
  logits (parameters: Parameters, tokens: Tokens & Remembered, tap: Tap): tf.Tensor2D
}

/** A text has a class, or a number. */
export interface SequenceClassifier extends BaseNetwork {
  /**
   * @param tokenTypes integers, which of two texts a token is of, `[rows, length]`
   * @returns `[rows, labels]`, or `[rows, 1]` for a number
   */
  logits (parameters: Parameters, tokens: Tokens, tokenTypes: tf.Tensor2D, tap: Tap): tf.Tensor2D
}

/** A text becomes another. */
export interface Seq2SeqNetwork extends BaseNetwork {
  /** The token that stands before the first of every target. */
  readonly decoderStart: number
  /** The token that stands where there is none. */
  readonly padding: number
  /** What of tokens the decoder looks at, `[rows·length, width]`. */
  encode (parameters: Parameters, tokens: Tokens, tap: Tap): tf.Tensor2D
  /**
   * The keys and values that each layer of the decoder makes of what was encoded, `[rows, heads, length, size]` each.
   *
   * @param encoded `[rows·length, width]`
   */
  look (parameters: Parameters, encoded: tf.Tensor2D, rows: number, tap: Tap): KeyValue[]
  /**
   * `[rows·target, vocabulary]`
   *
   * @param tokens of the target, each before the one that it predicts
   * @param source which of the tokens that were encoded may be looked at
   */
  decode (parameters: Parameters, tokens: Tokens & Remembered, looked: readonly KeyValue[], source: Visibility, tap: Tap): tf.Tensor2D
}

/** An image has a class. */
export interface ImageClassifier extends BaseNetwork {
  /**
   * @param pixels `[rows, channels, height, width]`
   * @returns `[rows, labels]`
   */
  logits (parameters: Parameters, pixels: tf.Tensor4D, tap: Tap): tf.Tensor2D
}

/** A network by its task. */
export interface Networks {
  readonly CAUSAL_LM: CausalNetwork
  readonly SEQ_CLS: SequenceClassifier
  readonly SEQ_2_SEQ_LM: Seq2SeqNetwork
  readonly IMAGE_CLS: ImageClassifier
}

export type Network = Networks[Task]
