import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { InvalidAdapterError } from '../errors.js'
import { replaceFolder } from '../files.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../tensor/safetensors.js'
import type { AdapterTensors, AuxiliarySpec, AuxiliaryTensors, FloatTensor, Site, Task } from '../types.js'

/** PEFT's prefix of every key: the PeftModel, and the model that it wraps. */
const KEY_PREFIX = 'base_model.model.'
const CONFIG_FILE = 'adapter_config.json'
const TENSOR_FILE = 'adapter_model.safetensors'

/** An adapter as it lies in a folder that PEFT writes and reads. */
export interface Adapter {
  readonly spec: AuxiliarySpec
  readonly tensors: AdapterTensors
}

/** What an adapter's folder says of the base model that it is for. */
export interface AdapterBase {
  /** For people: where the base model lay. */
  readonly name: string
  readonly task: Task
  readonly sites: readonly Site[]
  /** Whether it stores the weights of linear modules as `[in, out]` (transformers' Conv1D). */
  readonly fanInFanOut: boolean
}

/**
 * PEFT's class for the adapter. Null is the plain one: there is none for images, and that for classifiers of text loads no
 * adapter without a head of its own, kept whole.
 */
const TASK_TYPES: Readonly<Record<Task, string | null>> = { CAUSAL_LM: 'CAUSAL_LM', SEQ_2_SEQ_LM: 'SEQ_2_SEQ_LM', SEQ_CLS: null, IMAGE_CLS: null }

/** Values of `init_lora_weights` that take the adapter's start out of the base model's weights. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq)/i

const adapterConfig = z.object({
  peft_type: z.literal('LORA', 'only LoRA adapters are supported'),
  r: z.number().int().positive(),
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.literal(false, 'DoRA is not supported').nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()])
    .refine(start => !CHANGES_BASE.test(String(start)), 'a start that changed the base model\'s weights (PiSSA, OLoRA, CorDA, LoftQ) is not supported')
    .nullish(),
  bias: z.literal('none', 'trained biases are not supported').nullish(),
  rank_pattern: z.record(z.string(), z.number().int().positive()).nullish(),
  alpha_pattern: z.record(z.string(), z.number().positive()).nullish()
})

/** A factor's key; that of an embedding says so, and is no module's weight. */
const FACTOR = /^(?:base_model\.model\.)?(.+)\.lora_(?:([AB])\.weight|embedding_([AB]))$/

/** What PEFT leaves beside the factors of embeddings and of the head: the base model's own weights, as they are there. */
const BASE_WEIGHT = /\.base_layer\.weight$/

/** What `writeAdapter` leaves beside a linear auxiliary, as text. */
const linearMark = z.object({
  'colanet.rank': z.coerce.number().int().positive(),
  'colanet.alpha': z.coerce.number().positive()
})

/**
 * Reads an adapter folder. A linear auxiliary is found by the mark that `writeAdapter` leaves in the file.
 *
 * @throws {InvalidAdapterError} if the folder does not hold one, or one that we cannot continue exactly
 */
export async function readAdapter (folder: string): Promise<Adapter> {
  const config = await readConfig(join(folder, CONFIG_FILE))
  const path = join(folder, TENSOR_FILE)
  try {
    const { tensors, metadata } = decodeSafetensors(await readFile(path))
    const sites = new Map<string, Map<string, FloatTensor>>()
    for (const key of tensors.keys()) {
      if (BASE_WEIGHT.test(key)) continue
      const match = FACTOR.exec(key)
      if (match === null) throw new InvalidAdapterError(`${key} is not a LoRA weight; modules that were trained whole (modules_to_save) are not supported`)
      const [, site, factor, ofEmbedding = factor] = match
      sites.set(site, (sites.get(site) ?? new Map<string, FloatTensor>()).set(`lora_${ofEmbedding}.weight`, asMatrix(floatTensor(tensors, key))))
    }
    const alpha = config.lora_alpha * (config.use_rslora === true ? Math.sqrt(config.r) : 1)
    if (metadata['colanet.kind'] === 'linear') {
      const { 'colanet.rank': rank, 'colanet.alpha': alpha } = linearMark.parse(metadata)
      return { spec: { kind: 'linear', rank, alpha }, tensors: mapSites(sites, productOf) }
    }
    if (Object.keys({ ...config.rank_pattern, ...config.alpha_pattern }).length > 0) {
      throw new InvalidAdapterError('rank_pattern and alpha_pattern are not supported; every site must have the same rank and alpha')
    }
    return { spec: { kind: 'low-rank', rank: config.r, alpha }, tensors: sites }
  } catch (cause) {
    throw new InvalidAdapterError(`${path}: ${(cause as Error).message}`, { cause })
  }
}

/**
 * Writes an adapter as PEFT's `save_pretrained` does: PEFT loads it. The folder is replaced whole or not at all.
 *
 * A linear auxiliary W `[out, in]` becomes the product of itself and an identity, a LoRA of full rank, which is exact. Of a
 * convolution, A is one `[r, channels, height, width]`, and B one of single pixels, `[out, r, 1, 1]`. Those of an embedding are
 * called `lora_embedding_A` and `lora_embedding_B`.
 */
export async function writeAdapter (folder: string, { spec, tensors }: Adapter, base: AdapterBase): Promise<void> {
  const scale = spec.alpha / spec.rank
  const factors = spec.kind === 'linear' ? mapSites(tensors, factorsOf) : tensors
  const ranks = new Map([...factors].map(([site, factor]) => [site, factor.get('lora_A.weight')?.shape[0] ?? spec.rank]))
  const rank = spec.kind === 'linear' ? Math.max(...ranks.values()) : spec.rank
  const alpha = rank === spec.rank ? spec.alpha : scale * rank // a quotient times its divisor need not be what it was
  const others = [...ranks].filter(([, own]) => own !== rank)
  const config = {
    peft_type: 'LORA',
    task_type: TASK_TYPES[base.task],
    base_model_name_or_path: base.name,
    inference_mode: true,
    r: rank,
    lora_alpha: alpha,
    rank_pattern: Object.fromEntries(others),
    alpha_pattern: Object.fromEntries(others.map(([site, own]) => [site, scale * own])),
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: base.fanInFanOut,
    target_modules: [...tensors.keys()]
  }
  const sites = new Map(base.sites.map(site => [site.name, site]))
  const flat = new Map([...factors].flatMap(([name, own]) => {
    const site = sites.get(name)
    return [...own].map(([parameter, tensor]) => [`${KEY_PREFIX}${name}.${storedName(parameter, site)}`, asStored(parameter, tensor, site)] as const)
  }))
  const mark = { 'colanet.kind': spec.kind, 'colanet.rank': String(spec.rank), 'colanet.alpha': String(spec.alpha) }
  await replaceFolder(folder, {
    [CONFIG_FILE]: JSON.stringify(config, null, 2) + '\n',
    [TENSOR_FILE]: encodeSafetensors(flat, { metadata: { format: 'pt', ...mark } })
  })
}

async function readConfig (path: string): Promise<z.infer<typeof adapterConfig>> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new InvalidAdapterError(`${path} is not there or not JSON; an adapter is a folder with ${CONFIG_FILE} and ${TENSOR_FILE}, as PEFT writes it`, { cause })
  }
  const config = adapterConfig.safeParse(json)
  if (!config.success) throw new InvalidAdapterError(`${path}: ${z.prettifyError(config.error)}`)
  return config.data
}

function storedName (name: string, site: Site | undefined): string {
  return site?.embedding === true ? name.replace(/^lora_([AB])\.weight$/, 'lora_embedding_$1') : name
}

/** As PEFT stores a factor: of a convolution as one. */
function asStored (name: string, { shape: [rows, columns], values }: FloatTensor, { convolution }: Partial<Site> = {}): FloatTensor {
  if (convolution === undefined) return { shape: [rows, columns], values }
  return { shape: name === 'lora_A.weight' ? [rows, convolution.channels, ...convolution.kernel] : [rows, columns, 1, 1], values }
}

/** The other way: all axes but the first are one. */
function asMatrix ({ shape, values }: FloatTensor): FloatTensor {
  if (shape.length <= 2) return { shape, values }
  const [rows, ...columns] = shape
  return { shape: [rows, columns.reduce((product, size) => product * size, 1)], values }
}

function mapSites (tensors: AdapterTensors, change: (own: AuxiliaryTensors) => AuxiliaryTensors): AdapterTensors {
  return new Map([...tensors].map(([site, own]) => [site, change(own)]))
}

/** W `[out, in]` as B·A of full rank: one factor is W, the other an identity. */
function factorsOf (own: AuxiliaryTensors): AuxiliaryTensors {
  const weight = parameter(own, 'weight')
  const [outFeatures, inFeatures] = weight.shape
  return inFeatures <= outFeatures
    ? new Map([['lora_A.weight', identity(inFeatures)], ['lora_B.weight', weight]])
    : new Map([['lora_A.weight', weight], ['lora_B.weight', identity(outFeatures)]])
}

/** The other way: the factor that is not an identity. */
function productOf (own: AuxiliaryTensors): AuxiliaryTensors {
  const a = parameter(own, 'lora_A.weight')
  const b = parameter(own, 'lora_B.weight')
  return new Map([['weight', a.shape[1] <= b.shape[0] ? b : a]])
}

function parameter (own: AuxiliaryTensors, name: string): FloatTensor {
  const tensor = own.get(name)
  if (tensor === undefined) throw new InvalidAdapterError(`${name} is missing; there are: ${[...own.keys()].join(', ')}`)
  return tensor
}

function identity (size: number): FloatTensor {
  const values = new Float32Array(size * size)
  for (let i = 0; i < size; i++) values[i * size + i] = 1
  return { shape: [size, size], values }
}
