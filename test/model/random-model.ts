import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { networkOf } from '../../src/model/networks/registry.js'
import { encodeSafetensors, type FloatDtype } from '../../src/tensor/safetensors.js'
import type { Batch, FloatTensor } from '../../src/types.js'
import { tokenBatch } from '../support/batch.js'

/** What of a small GPT-2's `config.json` is said; the rest has transformers' defaults. */
export interface SmallConfig {
  readonly vocab_size: number
  readonly n_positions: number
  readonly n_embd: number
  readonly n_layer: number
  readonly n_head: number
  readonly n_inner?: number
  readonly activation_function?: string
  readonly tie_word_embeddings?: boolean
  readonly scale_attn_weights?: boolean
  readonly scale_attn_by_inverse_layer_idx?: boolean
}

/** Of another type, as its `config.json` says it. */
export type OtherConfig = Readonly<Record<string, unknown>> & { readonly model_type: string }

/** A model of random weights, as a folder of Hugging Face's. */
export async function writeModel (folder: string, config: SmallConfig | OtherConfig, random: () => number, dtype: FloatDtype = 'F32'): Promise<void> {
  const json = { model_type: 'gpt2', ...config }
  const { network: { weights } } = networkOf(json, folder)
  const tensors = new Map<string, FloatTensor>([...weights].map(([name, shape]) => {
    const middle = /(ln_\w+|norm(_embedding)?|layernorm_\w+)\.weight$/i.test(name) ? 1 : 0
    const width = /\.(w[tp]e|embed_tokens|\w+_embeddings)\.|^shared\./.test(name) ? 0.5 : 0.4 // of embeddings, so that norms have something to divide by
    return [name, { shape, values: Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => middle + width * (random() - 0.5)) }]
  }))
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'config.json'), JSON.stringify(json))
  await writeFile(join(folder, 'model.safetensors'), encodeSafetensors(tensors, { dtype }))
}

/** Rows of random tokens, each padded on the left or on the right by some, and with some labels that do not count. */
export function randomBatch (rows: number, length: number, vocabSize: number, random: () => number): Batch {
  const below = (end: number): number => Math.floor(random() * end)
  const inputIds = Int32Array.from({ length: rows * length }, () => below(vocabSize))
  const attentionMask = new Int32Array(rows * length).fill(1)
  const labels = inputIds.map(id => random() < 0.1 ? -100 : id)
  for (let row = 0; row < rows; row++) {
    const padding = random() < 0.3 ? 0 : below(length - 1)
    const begin = row * length + (random() < 0.5 ? 0 : length - padding)
    attentionMask.fill(0, begin, begin + padding)
    labels.fill(-100, begin, begin + padding)
  }
  const counts = attentionMask.findIndex((mask, i) => i % length > 0 && mask === 1)
  labels[counts] = inputIds[counts] // one counts at least
  return tokenBatch(rows, length, { inputIds, attentionMask, labels })
}
