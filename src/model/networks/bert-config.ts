import { z } from 'zod'
import { ACTIVATIONS } from '../layers/activations.js'
import { checkLabels, labelsConfig, labelsOf } from './labels.js'

/** One encoder of BERT's kind with its head, whatever `config.json` calls its parts. */
export interface BertSettings {
  readonly kind: 'bert' | 'roberta'
  readonly vocabSize: number
  /** Rows of the table of positions. */
  readonly positions: number
  /** Rows of the table of kinds of tokens. */
  readonly tokenTypes: number
  /** The token that is not counted, and whose own number is the position before the first; undefined where all are, from 0. */
  readonly uncounted: number | undefined
  readonly width: number
  readonly inner: number
  readonly layers: number
  readonly heads: number
  readonly epsilon: number
  readonly activation: string
  /** Names of the classes; none where it gives a number. */
  readonly labels: readonly string[]
}

const size = z.number().int().positive()

/** What both have, with transformers' defaults. */
const common = z.object({
  hidden_size: size.default(768),
  num_hidden_layers: size.default(12),
  num_attention_heads: size.default(12),
  intermediate_size: size.default(3072),
  hidden_act: z.enum(Object.keys(ACTIVATIONS)).default('gelu'),
  max_position_embeddings: size.default(512),
  type_vocab_size: size.default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  position_embedding_type: z.literal('absolute', 'relative positions are not supported; supported is absolute').default('absolute'),
  is_decoder: z.literal(false, 'a decoder is not supported').default(false),
  add_cross_attention: z.literal(false, 'cross-attention is not supported').default(false),
  ...labelsConfig.shape
})

type Common = z.infer<typeof common>

const bert = common.extend({ vocab_size: size.default(30522) })
  .check(checkHeads, checkLabels)
  .transform((config): BertSettings => ({ ...settingsOf(config), kind: 'bert', vocabSize: config.vocab_size, uncounted: undefined }))

const roberta = common.extend({ vocab_size: size.default(50265), pad_token_id: z.number().int().nonnegative().default(1) })
  .refine(({ max_position_embeddings: positions, pad_token_id: padding }) => positions > padding + 1, 'positions begin after pad_token_id, so that max_position_embeddings must be more than pad_token_id + 1')
  .check(checkHeads, checkLabels)
  .transform((config): BertSettings => ({ ...settingsOf(config), kind: 'roberta', vocabSize: config.vocab_size, uncounted: config.pad_token_id }))

/** By `model_type`: `config.json` as what it says of the network. */
export const BERT_CONFIGS = { bert, roberta }

function checkHeads ({ value: { hidden_size: width, num_attention_heads: heads }, issues }: { readonly value: Common, readonly issues: z.core.$ZodRawIssue[] }): void {
  if (width % heads !== 0) issues.push({ code: 'custom', input: width, message: 'hidden_size must be a multiple of num_attention_heads' })
}

function settingsOf (config: Common): Omit<BertSettings, 'kind' | 'vocabSize' | 'uncounted'> {
  return {
    positions: config.max_position_embeddings,
    tokenTypes: config.type_vocab_size,
    width: config.hidden_size,
    inner: config.intermediate_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    epsilon: config.layer_norm_eps,
    activation: config.hidden_act,
    labels: labelsOf(config)
  }
}
