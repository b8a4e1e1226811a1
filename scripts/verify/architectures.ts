import type { OtherConfig } from '../../test/model/random-model.js'

/** Numbers in [0, 1). */
export type Random = () => number

/**
 * Small models of each kind, of random sizes, as `config.json` has them. Activations are smooth and texts long enough that
 * attention chooses between tokens: a gradient that is nothing but rounding cannot be compared.
 */
export const ARCHITECTURES: ReadonlyArray<(random: Random) => OtherConfig> = [
  random => ({ model_type: 'gpt2', ...text(random), n_positions: LENGTH, ...gpt2Widths(random), n_layer: between(1, 2, random), tie_word_embeddings: random() < 0.5 }),
  random => ({ model_type: 'llama', ...text(random), ...decoder(random), num_key_value_heads: 2, attention_bias: random() < 0.5, mlp_bias: random() < 0.5 }),
  random => ({ model_type: 'bert', ...text(random), ...encoder(random), num_labels: between(2, 4, random) }),
  random => ({ model_type: 'vit', ...encoder(random), image_size: [8, 9], patch_size: [2, 3], num_channels: between(1, 3, random), num_labels: between(2, 5, random), qkv_bias: random() < 0.5 }),
  random => ({ model_type: 'cnn-classifier', image_size: [between(6, 9, random), between(6, 9, random)], num_channels: between(1, 3, random), conv_channels: [5, between(3, 6, random)], num_labels: 3, hidden_act: 'gelu' }),
  random => ({ model_type: 'mistral', ...text(random), ...decoder(random), num_key_value_heads: 4, sliding_window: between(3, 6, random) }),
  random => ({
    model_type: 'bart',
    ...text(random),
    max_position_embeddings: LENGTH,
    d_model: 12,
    encoder_layers: 1,
    encoder_attention_heads: 3,
    encoder_ffn_dim: between(7, 12, random),
    decoder_layers: 1,
    decoder_attention_heads: 2,
    decoder_ffn_dim: between(7, 12, random),
    scale_embedding: random() < 0.5
  }),
  random => ({ model_type: 'mlp-classifier', image_size: [4, between(3, 6, random)], num_channels: between(1, 3, random), hidden_sizes: [between(8, 16, random), 9], num_labels: 4, hidden_act: 'gelu' }),
  random => ({ model_type: 'qwen3', ...text(random), ...decoder(random), num_key_value_heads: 2, head_dim: between(2, 4, random) * 2 }),
  random => ({
    model_type: 't5',
    ...text(random),
    d_model: 12,
    d_kv: between(3, 6, random),
    d_ff: between(9, 14, random),
    num_layers: 1,
    num_decoder_layers: 1,
    num_heads: 3,
    relative_attention_num_buckets: 8,
    relative_attention_max_distance: 20,
    feed_forward_proj: 'gated-gelu',
    tie_word_embeddings: random() < 0.5
  }),
  random => ({ model_type: 'roberta', ...text(random), ...encoder(random), type_vocab_size: 1, num_labels: 1 })
]

/** Positions of those that count them. */
const LENGTH = 16

/** A whole number, both ends included. */
export function between (least: number, most: number, random: Random): number {
  return least + Math.floor(random() * (most - least + 1))
}

function text (random: Random): { vocab_size: number } {
  return { vocab_size: between(17, 40, random) }
}

function gpt2Widths (random: Random): { n_head: number, n_embd: number } {
  const heads = between(1, 3, random)
  return { n_head: heads, n_embd: heads * between(4, 6, random) }
}

function decoder (random: Random): object {
  return { hidden_size: 16, intermediate_size: between(12, 24, random), num_hidden_layers: between(1, 2, random), num_attention_heads: 4, max_position_embeddings: LENGTH }
}

function encoder (random: Random): object {
  return { hidden_size: 12, intermediate_size: between(12, 20, random), num_hidden_layers: between(1, 2, random), num_attention_heads: 3, max_position_embeddings: LENGTH + 2 }
}
