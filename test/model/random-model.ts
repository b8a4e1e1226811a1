import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { IGNORED_LABEL } from '../../src/model/loss.js'
import type { NetworkInfo } from '../../src/model/network.js'
import { networkOf } from '../../src/model/networks/registry.js'
import { batchOf } from '../../src/tensor/batch.js'
import { encodeSafetensors, type FloatDtype } from '../../src/tensor/safetensors.js'
import type { Batch, FloatTensor, Task, TensorData } from '../../src/types.js'
import { tokenBatch, type TokenValues } from '../support/batch.js'

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
  const { inputIds, attentionMask, labels } = randomTokens(rows, length, vocabSize, random)
  const counts = attentionMask.findIndex((mask, i) => i % length > 0 && mask === 1)
  labels[counts] = inputIds[counts] // one counts at least
  return tokenBatch(rows, length, { inputIds, attentionMask, labels })
}

/** Rows of what a model takes, of a random length where they are texts. */
export function randomRows (info: NetworkInfo, rows: number, random: () => number): Batch {
  return ROWS[info.task](info, rows, random)
}

/** No text is longer, though there may be more positions: some more tokens than lengths are rounded up to. */
const LONGEST = 20

const ROWS: Readonly<Record<Task, typeof randomRows>> = {
  CAUSAL_LM: ({ positions, vocabSize }, rows, random) => randomBatch(rows, 2 + below(Math.min(positions, LONGEST) - 1, random), vocabSize, random),
  SEQ_CLS: (info, rows, random) => {
    const text = randomText(info, rows, random)
    const { tokenTypes = 1 } = info
    return batchOf(new Map([
      ...text,
      ['labels', randomLabels(info, rows, random)],
      ...(random() < 0.3 ? [] : [['token_type_ids', integers(text.get('input_ids')!.shape, () => below(tokenTypes, random))]] as const)
    ]))
  },
  SEQ_2_SEQ_LM: (info, rows, random) => {
    const length = randomLength(info, random)
    const { inputIds, labels } = randomTokens(rows, length, info.vocabSize, random)
    if (labels.every(label => label === IGNORED_LABEL)) labels[0] = inputIds[0]
    return batchOf(new Map([...randomText(info, rows, random), ['labels', { shape: [rows, length], values: labels }]]))
  },
  IMAGE_CLS: (info, rows, random) => {
    const { channels, height, width } = info.image!
    return batchOf(new Map([
      ['pixel_values', { shape: [rows, channels, height, width], values: Float32Array.from({ length: rows * channels * height * width }, () => 2 * random() - 1) }],
      ['labels', randomLabels(info, rows, random)]
    ]))
  }
}

function randomTokens (rows: number, length: number, vocabSize: number, random: () => number): TokenValues {
  const inputIds = Int32Array.from({ length: rows * length }, () => below(vocabSize, random))
  const attentionMask = new Int32Array(rows * length).fill(1)
  const labels = inputIds.map(id => random() < 0.1 ? IGNORED_LABEL : id)
  for (let row = 0; row < rows; row++) {
    const padding = random() < 0.3 ? 0 : below(length - 1, random)
    const begin = row * length + (random() < 0.5 ? 0 : length - padding)
    attentionMask.fill(0, begin, begin + padding)
    labels.fill(IGNORED_LABEL, begin, begin + padding)
  }
  return { inputIds, attentionMask, labels }
}

/** Tokens that are all looked at together; a row may be padding and nothing else. */
function randomText (info: NetworkInfo, rows: number, random: () => number): Map<string, TensorData> {
  const length = randomLength(info, random)
  const { inputIds, attentionMask } = randomTokens(rows, length, info.vocabSize, random)
  if (random() < 0.1) attentionMask.fill(0, 0, length)
  const shape = [rows, length]
  return new Map([['input_ids', { shape, values: inputIds }], ['attention_mask', { shape, values: attentionMask }]])
}

/** One a row: classes, of which the first counts at least, or numbers that are far from what a model gives. */
function randomLabels ({ labels: { length: classes } }: NetworkInfo, rows: number, random: () => number): TensorData {
  if (classes === 0) return { shape: [rows], values: Float32Array.from({ length: rows }, () => 5 + random()) }
  return integers([rows], row => row > 0 && random() < 0.1 ? IGNORED_LABEL : below(classes, random))
}

function integers (shape: readonly number[], value: (i: number) => number): TensorData {
  return { shape, values: Int32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, (_, i) => value(i)) }
}

function randomLength ({ positions }: NetworkInfo, random: () => number): number {
  return 1 + below(Math.min(positions, LONGEST), random)
}

function below (end: number, random: () => number): number {
  return Math.floor(random() * end)
}
