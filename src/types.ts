/** Values of a tensor at rest, outside any TensorFlow.js backend. */
export type TensorValues = Float32Array | Int32Array

/**
 * A tensor at rest: what crosses the wire, a thread or a file, in the precision we compute with.
 * `values.length` is the product of `shape`, row-major.
 */
export interface TensorData<V extends TensorValues = TensorValues> {
  readonly shape: readonly number[]
  readonly values: V
}

export type FloatTensor = TensorData<Float32Array>

/** Tensors by name. */
export type NamedTensors<V extends TensorValues = TensorValues> = ReadonlyMap<string, TensorData<V>>

/** One adapted module m of the base model. */
export interface Site {
  /** Full Hugging Face module name, for example `transformer.h.0.attn.c_attn`. */
  readonly name: string
  /** Columns of the module's matrix: the size of the last axis of its input x_m, of a convolution the values of a patch, of an embedding the tokens that there are. */
  readonly inFeatures: number
  /** Rows of it: the size of the last axis of the module's output ĥ_m. */
  readonly outFeatures: number
  /**
   * How often it stands in a row: once for each token of the target, or so many times whatever the row.
   * @default once for each token of the input
   */
  readonly places?: 'target' | number
  /** Where the module is a convolution: its matrix is multiplied by the patches of x_m. */
  readonly convolution?: Convolution
  /** Whether the module embeds tokens: its matrix is multiplied by rows that are 1 at x_m, which is a token, and 0 elsewhere. @default false */
  readonly embedding?: boolean
}

/** A module that multiplies the patches of an image `[height, width, channels]`, each as a row of (channel, y, x) as in PyTorch. */
export interface Convolution {
  readonly channels: number
  readonly height: number
  readonly width: number
  /** Height and width of a patch, in pixels. */
  readonly kernel: readonly [number, number]
  /** From one patch to the next, in pixels. */
  readonly stride: readonly [number, number]
  /** Zeros around the image, in pixels. */
  readonly padding: readonly [number, number]
}

/** The paper's adaptation data of one site and one batch. */
export interface SitePair {
  /** x_m: the input of the module, `[places, in]`; of a convolution `[pixels, channels]`; of an embedding integers, `[places, 1]`. */
  readonly x: TensorData
  /** ∇ĥ_m: the gradient of the loss with respect to the module's output, `[places, out]`. */
  readonly gradient: FloatTensor
  /** What the module gives without what is beside it, `[places, out]`, for kinds that are fitted from it: see `seenBy`. */
  readonly output?: FloatTensor
  /** Norms of the rows of W + αBA, `[out]`, with the auxiliary that the data are made with, for kinds that divide by them. */
  readonly norm?: FloatTensor
}

/** All that a pair does to the factors of one low-rank auxiliary. */
export interface SiteFactors {
  /** J_wᵀ∇ĥ_m by parameter, in the parameters' shapes, without α: Bᵀ∇ĥᵀx for A, ∇ĥᵀxAᵀ for B. */
  readonly factors: AuxiliaryTensors
}

/** All that a pair does to any auxiliary that is linear in x. */
export interface SiteProduct {
  /** G = Σ_t ∇ĥ_t·x_tᵀ, `[out, in]`, x as the module's matrix multiplies it. */
  readonly product: FloatTensor
}

/** What Gradient Learning needs of one site and one batch. */
export type SiteData = SitePair | SiteFactors | SiteProduct

/** Adaptation data of several sites, by full module name. */
export type AdaptationData = ReadonlyMap<string, SiteData>

export const TASKS = ['CAUSAL_LM', 'SEQ_CLS', 'SEQ_2_SEQ_LM', 'IMAGE_CLS'] as const
/** What a base model is trained for, under the names of PEFT's `TaskType`, which has none for images. */
export type Task = typeof TASKS[number]

/**
 * Rows as a base model takes them: tensors under transformers' names, the first axis of each is `rows`.
 *
 * - tokens `[rows, length]`, padded to one length: `input_ids`, `attention_mask` (1 where there is a token, 0 where there
 *   is padding), and for some models `token_type_ids`;
 * - images: `pixel_values` `[rows, channels, height, width]`;
 * - `labels`, -100 where none counts: the token that should stand at the same position (the model shifts them itself)
 *   `[rows, length]`, or as many of another text `[rows, target]`; a class, or a number to come near to, `[rows]`.
 */
export interface Batch {
  readonly rows: number
  readonly tensors: NamedTensors
}

/** ΔW of merged sites, `[out, in]` each, α included, by full module name. */
export type DeltaWeights = ReadonlyMap<string, FloatTensor>

/**
 * One site's auxiliary at rest, under PEFT's names where it has one:
 * `low-rank` has `lora_A.weight` `[r, in]` and `lora_B.weight` `[out, r]`;
 * `linear` has `weight` `[out, in]`;
 * `mlp` has `layers.<n>.weight` `[to, from]` and `layers.<n>.bias` `[to]` of three layers;
 * `ia3` has `ia3_l` `[out, 1]`;
 * `dora` has what `low-rank` has, and `lora_magnitude_vector` `[out]`.
 */
export type AuxiliaryTensors = NamedTensors<Float32Array>

/** Auxiliaries at rest, by full module name of their site. */
export type AdapterTensors = ReadonlyMap<string, AuxiliaryTensors>

export const AUXILIARY_KINDS = ['low-rank', 'linear', 'mlp', 'ia3', 'dora'] as const
export type AuxiliaryKind = typeof AUXILIARY_KINDS[number]

/** Shape of one trainer's auxiliaries. What follows from it for a site is in `auxiliary-spec.ts`. */
export interface AuxiliarySpec {
  readonly kind: AuxiliaryKind
  /** Rank r of a low-rank auxiliary, or DoRA's; for the others only the divisor of `alpha`. */
  readonly rank: number
  /** PEFT's `lora_alpha`: the α of the equations is `alpha / rank`. */
  readonly alpha: number
  /** Ranks of sites that have another one, by full module name, as PEFT's `rank_pattern`. */
  readonly ranks?: Readonly<Record<string, number>>
  /** The same for `alpha`, as PEFT's `alpha_pattern`. */
  readonly alphas?: Readonly<Record<string, number>>
  /** Whether the α of the equations is `alpha / √rank`, as with PEFT's `use_rslora`. @default false */
  readonly rankStabilised?: boolean
  /** The share of the values of x that g is without in training, as PEFT's `lora_dropout`; the others are 1/(1 − p) times as large. @default 0 */
  readonly dropout?: number
  /** What counts of g at sites where it is not all of it, by full module name, for kinds that have their α within g. */
  readonly shares?: Readonly<Record<string, number>>
}

/** What one side says in a conversation. */
export interface ChatMessage {
  readonly role: string
  readonly content: string
}

/**
 * The text of a conversation; if `open`, followed by what stands before the assistant's next answer. Throws what the
 * model's chat template throws, which may not take every order of roles.
 */
export type RenderChat = (messages: readonly ChatMessage[], open: boolean) => string

/** Tokens of a text, or two, that a model takes whole, with the special tokens that it has around them. */
export interface WholeText {
  readonly ids: readonly number[]
  /** Which of the texts a token is of. */
  readonly typeIds: readonly number[]
  /** Whether tokens were cut off. */
  readonly truncated: boolean
}

export const MODES = ['alone', 'collaboration', 'joint'] as const
/**
 * - `alone`: each trainer has its own auxiliary, through which the host sends that trainer's rows;
 * - `collaboration`: each trainer has its own, and everyone's ΔW is averaged into the shared base;
 * - `joint`: all trainers move one auxiliary together.
 */
export type Mode = typeof MODES[number]

export const MERGES = ['during', 'after', 'never'] as const
/**
 * Whether auxiliaries are merged into θ where they can be:
 * - `during`: passes run on θ + αΔW, in training too;
 * - `after`: they run beside θ in training, and merged when the outcome is evaluated;
 * - `never`: they run beside θ.
 */
export type Merge = typeof MERGES[number]

export const WIRE_FORMS = ['f32', 'bf16', 'f16', 'factors', 'product', 'int8'] as const
/**
 * How adaptation data cross the wire:
 * - `f32`: pairs (x, ∇ĥ) as they are;
 * - `bf16`: pairs, rounded to bfloat16;
 * - `f16`: pairs, rounded to binary16, each tensor times a power of two with which it has room there;
 * - `factors`: what the pairs do to the factors of a low-rank auxiliary, exact, its size that of the factors;
 * - `product`: G = Σ∇ĥ·xᵀ, exact for auxiliaries that are linear in x, its size that of the module's matrix;
 * - `int8`: `factors` where the auxiliary has them, else `product`, in 8 bits; what is rounded off is added to the next step's.
 */
export type WireForm = typeof WIRE_FORMS[number]
