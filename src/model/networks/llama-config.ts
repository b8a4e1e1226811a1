import { z } from 'zod'
import { ACTIVATIONS } from '../layers/activations.js'
import { type RopeParameters, ropeParameters } from '../layers/rope.js'

/** One decoder of the Llama family, whatever `config.json` calls its parts. */
export interface LlamaSettings {
  readonly vocabSize: number
  readonly positions: number
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  /** Heads of keys and values. */
  readonly groups: number
  /** Of a head. */
  readonly size: number
  readonly epsilon: number
  readonly activation: string
  readonly rope: RopeParameters
  readonly tied: boolean
  /** Which linear modules have a bias. */
  readonly bias: { readonly queryKeyValue: boolean, readonly output: boolean, readonly mlp: boolean }
  /** Whether queries and keys are normalised, each head by itself. */
  readonly normalised: boolean
  /** How many positions back each layer looks, itself included; undefined for all. */
  readonly windows: ReadonlyArray<number | undefined>
}

const size = z.number().int().positive()

/** What all of them have, with transformers' defaults. */
const common = z.object({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  max_position_embeddings: size,
  hidden_act: z.enum(Object.keys(ACTIVATIONS)).default('silu'),
  rms_norm_eps: z.number().positive().default(1e-6),
  tie_word_embeddings: z.boolean().default(false),
  rope_parameters: ropeParameters
})

type Common = z.infer<typeof common>

/** Layers with a sliding window are told one by one, or begin with one of them. */
const windowed = z.object({
  use_sliding_window: z.boolean().default(false),
  sliding_window: size.nullish(),
  max_window_layers: z.number().int().nonnegative().default(28),
  layer_types: z.array(z.enum(['full_attention', 'sliding_attention'])).nullish()
})

const llama = common.extend({ attention_bias: z.boolean().default(false), mlp_bias: z.boolean().default(false) })
  .transform(({ attention_bias: attention, mlp_bias: mlp, ...config }): LlamaSettings =>
    ({ ...settingsOf(config), bias: { queryKeyValue: attention, output: attention, mlp } }))

const mistral = common.extend({ sliding_window: size.nullish() })
  .transform((config): LlamaSettings => ({ ...settingsOf(config), windows: ofEachLayer(config, () => config.sliding_window ?? undefined) }))

const qwen2 = common.extend(windowed.shape)
  .transform((config): LlamaSettings => ({ ...settingsOf(config), windows: windowsOf(config), bias: { queryKeyValue: true, output: false, mlp: false } }))

const qwen3 = common.extend(windowed.shape).extend({ head_dim: size.default(128), attention_bias: z.boolean().default(false) })
  .transform(({ attention_bias: attention, ...config }): LlamaSettings =>
    ({ ...settingsOf(config), windows: windowsOf(config), bias: { queryKeyValue: attention, output: attention, mlp: false }, normalised: true }))

/** By `model_type`: `config.json` as what it says of the network. */
export const LLAMA_CONFIGS = {
  llama: schemaOf(llama),
  mistral: schemaOf(mistral),
  qwen2: schemaOf(qwen2),
  qwen3: schemaOf(qwen3)
}

function schemaOf (schema: z.ZodType<LlamaSettings>): z.ZodType<LlamaSettings> {
  return z.preprocess(withRopeParameters, schema.check(({ value: { heads, groups, size }, issues }) => {
    if (heads % groups !== 0) issues.push({ code: 'custom', input: groups, message: `${heads} heads cannot share ${groups} of keys and values` })
    if (size % 2 !== 0) issues.push({ code: 'custom', input: size, message: `heads of ${size} cannot be rotated in pairs` })
  }))
}

/** What transformers before version 5 said in `rope_theta` and `rope_scaling`, as it says it now. */
function withRopeParameters (json: unknown): unknown {
  const { rope_parameters: given, rope_scaling: scaling, rope_theta: theta, ...rest } = json as Record<string, unknown>
  const said = (given ?? scaling ?? {}) as Record<string, unknown>
  const rope = {
    ...(theta === undefined ? {} : { rope_theta: theta }),
    original_max_position_embeddings: rest.max_position_embeddings,
    ...said,
    rope_type: said.rope_type ?? said.type ?? 'default'
  }
  return { ...rest, rope_parameters: rope }
}

function settingsOf (config: Common): LlamaSettings {
  const heads = config.num_attention_heads
  return {
    vocabSize: config.vocab_size,
    positions: config.max_position_embeddings,
    width: config.hidden_size,
    inner: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads,
    groups: config.num_key_value_heads ?? heads,
    size: config.head_dim ?? Math.floor(config.hidden_size / heads),
    epsilon: config.rms_norm_eps,
    activation: config.hidden_act,
    rope: config.rope_parameters,
    tied: config.tie_word_embeddings,
    bias: { queryKeyValue: false, output: false, mlp: false },
    normalised: false,
    windows: ofEachLayer(config, () => undefined)
  }
}

function windowsOf (config: Common & z.infer<typeof windowed>): Array<number | undefined> {
  const { use_sliding_window: uses, sliding_window: window, layer_types: types, max_window_layers: first } = config
  if (!uses) return ofEachLayer(config, () => undefined)
  return ofEachLayer(config, layer => (types?.[layer] ?? (layer >= first ? 'sliding_attention' : 'full_attention')) === 'sliding_attention' ? window ?? undefined : undefined)
}

function ofEachLayer<T> ({ num_hidden_layers: layers }: Common, make: (layer: number) => T): T[] {
  return Array.from({ length: layers }, (_, layer) => make(layer))
}
