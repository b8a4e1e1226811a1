import { z } from 'zod'
import { ACTIVATIONS } from '../layers/activations.js'

/** One T5, whatever `config.json` calls its parts. */
export interface T5Settings {
  readonly vocabSize: number
  readonly positions: number
  readonly width: number
  readonly inner: number
  readonly layers: { readonly encoder: number, readonly decoder: number }
  readonly heads: number
  /** Of a head; all of them together may be wider than the model, or not so wide. */
  readonly size: number
  readonly buckets: number
  readonly farthest: number
  readonly epsilon: number
  readonly activation: string
  readonly gated: boolean
  /** Whether the embedding is also the head, which takes what is divided by √width then. */
  readonly tied: boolean
  readonly padding: number
  readonly decoderStart: number
}

const size = z.number().int().positive()
const token = z.number().int().nonnegative()

const GATED = 'gated-'

/** T5 counts only distances, and so has no end. This is eight times the rows that it was trained with. */
const POSITIONS = 4096

/** What of a T5 `config.json` changes the numbers, with transformers' defaults. */
export const t5Config = z.object({
  vocab_size: size.default(32128),
  n_positions: size.default(512),
  d_model: size.default(512),
  d_kv: size.default(64),
  d_ff: size.default(2048),
  num_layers: size.default(6),
  num_decoder_layers: size.nullish(),
  num_heads: size.default(8),
  relative_attention_num_buckets: size.min(4).default(32),
  relative_attention_max_distance: size.default(128),
  layer_norm_epsilon: z.number().positive().default(1e-6),
  feed_forward_proj: z.string().default('relu'),
  pad_token_id: token.default(0),
  decoder_start_token_id: token.nullish(),
  tie_word_embeddings: z.boolean().default(true),
  scale_decoder_outputs: z.boolean().nullish()
})
  .refine(config => config.relative_attention_max_distance > Math.floor(config.relative_attention_num_buckets / 2), 'relative_attention_max_distance must be above half of relative_attention_num_buckets')
  .refine(config => startOf(config) < config.vocab_size, 'decoder_start_token_id must be below vocab_size')
  .refine(config => config.pad_token_id < config.vocab_size, 'pad_token_id must be below vocab_size')
  .transform((config, { issues }): T5Settings => {
    const gated = config.feed_forward_proj.startsWith(GATED)
    const kind = gated ? config.feed_forward_proj.slice(GATED.length) : config.feed_forward_proj
    const activation = gated && kind === 'gelu' ? 'gelu_new' : kind // so transformers means it
    if (!Object.hasOwn(ACTIVATIONS, activation)) {
      issues.push({ code: 'custom', input: config.feed_forward_proj, message: `feed_forward_proj ${config.feed_forward_proj} is not known; known are ${Object.keys(ACTIVATIONS).join(', ')}, and each after ${GATED}` })
    }
    return {
      vocabSize: config.vocab_size,
      positions: Math.max(POSITIONS, config.n_positions),
      width: config.d_model,
      inner: config.d_ff,
      layers: { encoder: config.num_layers, decoder: config.num_decoder_layers ?? config.num_layers },
      heads: config.num_heads,
      size: config.d_kv,
      buckets: config.relative_attention_num_buckets,
      farthest: config.relative_attention_max_distance,
      epsilon: config.layer_norm_epsilon,
      activation,
      gated,
      tied: config.scale_decoder_outputs ?? config.tie_word_embeddings, // transformers 5 says the former, and always that it is tied
      padding: config.pad_token_id,
      decoderStart: startOf(config)
    }
  })

function startOf ({ decoder_start_token_id: start, pad_token_id: padding }: { readonly decoder_start_token_id?: number | null | undefined, readonly pad_token_id: number }): number {
  return start ?? padding
}
