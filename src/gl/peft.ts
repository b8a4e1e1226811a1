import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { patternAt, rankAt, scaleAt } from '../auxiliary-spec.js'
import { InvalidAdapterError } from '../errors.js'
import { replaceFolder } from '../files.js'
import { decodeSafetensors, encodeSafetensors, floatTensor } from '../tensor/safetensors.js'
import { type AdapterTensors, AUXILIARY_KINDS, type AuxiliarySpec, type AuxiliaryTensors, type FloatTensor, type NamedTensors, type Site, type Task } from '../types.js'

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

const positive = z.number().int().positive()

const loraConfig = z.object({
  peft_type: z.literal('LORA'),
  r: positive,
  lora_alpha: z.number().positive(),
  use_rslora: z.boolean().nullish(),
  use_dora: z.literal(false, 'DoRA is not supported').nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()])
    .refine(start => !CHANGES_BASE.test(String(start)), 'a start that changed the base model\'s weights (PiSSA, OLoRA, CorDA, LoftQ) is not supported')
    .nullish(),
  bias: z.literal('none', 'trained biases are not supported').nullish(),
  rank_pattern: z.record(z.string(), positive).nullish(),
  alpha_pattern: z.record(z.string(), z.number().positive()).nullish()
})

/** Kinds that PEFT has not, under a name that it refuses. */
const OWN_TYPE = 'COLANET'

const adapterConfig = z.discriminatedUnion('peft_type', [loraConfig, z.object({ peft_type: z.literal(OWN_TYPE) })],
  { error: 'only LoRA adapters, and those that colanet writes, are supported' })

type LoraConfig = z.infer<typeof loraConfig>
type AdapterConfig = z.infer<typeof adapterConfig>

/** A factor's key; that of an embedding says so, and is no module's weight. */
const FACTOR = /^(?:base_model\.model\.)?(.+)\.lora_(?:([AB])\.weight|embedding_([AB]))$/

/** What PEFT leaves beside the factors of embeddings and of the head: the base model's own weights, as they are there. */
const BASE_WEIGHT = /\.base_layer\.weight$/

/** A parameter's key where auxiliaries are not LoRA's. */
const PARAMETER = /^base_model\.model\.(.+)\.(layers\.\d+\.(?:weight|bias))$/

/** Where `writeAdapter` leaves the spec of auxiliaries that PEFT's format does not tell. */
const SPEC_MARK = 'colanet.spec'

const specSchema: z.ZodType<AuxiliarySpec> = z.object({
  kind: z.enum(AUXILIARY_KINDS),
  rank: positive,
  alpha: z.number().positive(),
  ranks: z.record(z.string(), positive).exactOptional(),
  alphas: z.record(z.string(), z.number().positive()).exactOptional(),
  rankStabilised: z.boolean().exactOptional()
})

/** Folders of the adapters that are one together, in a folder that has none itself. */
const PART = /^part-\d+$/

/**
 * Reads an adapter folder.
 *
 * @throws {InvalidAdapterError} if the folder does not hold one, or one that we cannot continue exactly
 */
export async function readAdapter (folder: string): Promise<Adapter> {
  const config = await readConfig(join(folder, CONFIG_FILE))
  const path = join(folder, TENSOR_FILE)
  try {
    const { tensors, metadata } = decodeSafetensors(await readFile(path))
    const marked = metadata[SPEC_MARK] as string | undefined
    const spec = marked === undefined ? undefined : specSchema.parse(JSON.parse(marked))
    if (config.peft_type === OWN_TYPE) {
      if (spec === undefined) throw new InvalidAdapterError(`it does not say what kind of auxiliaries it holds, under ${SPEC_MARK}`)
      return { spec, tensors: ownParameters(tensors) }
    }
    const factors = loraFactors(tensors)
    return spec?.kind === 'linear' ? { spec, tensors: mapSites(factors, productOf) } : { spec: loraSpec(config, factors), tensors: factors }
  } catch (cause) {
    throw new InvalidAdapterError(`${path}: ${(cause as Error).message}`, { cause })
  }
}

/** The adapters whose sum a folder holds: one, or where there are such that cannot be one, all of its parts. Throws as `readAdapter` does. */
export async function readAdapters (folder: string): Promise<Adapter[]> {
  const names = await readdir(folder).catch((): string[] => [])
  const parts = names.includes(CONFIG_FILE) ? [] : names.filter(name => PART.test(name)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  return await Promise.all(parts.length === 0 ? [readAdapter(folder)] : parts.map(async part => await readAdapter(join(folder, part))))
}

/**
 * Writes adapters whose sum is what was learned: one as PEFT has it, several each in a folder of its own. The folder is replaced
 * whole or not at all.
 */
export async function writeAdapters (folder: string, adapters: readonly Adapter[], base: AdapterBase): Promise<void> {
  const parts = adapters.map((adapter, i) => Object.entries(filesOf(adapter, base)).map(([name, content]) =>
    [adapters.length === 1 ? name : join(`part-${i + 1}`, name), content] as const))
  await replaceFolder(folder, Object.fromEntries(parts.flat()))
}

/** Writes an adapter as PEFT's `save_pretrained` does: PEFT loads it, unless it is of a kind that PEFT has not. As `writeAdapters`. */
export async function writeAdapter (folder: string, adapter: Adapter, base: AdapterBase): Promise<void> {
  await writeAdapters(folder, [adapter], base)
}

function filesOf (adapter: Adapter, base: AdapterBase): Record<string, string | Uint8Array> {
  return adapter.spec.kind === 'mlp' ? ownFiles(adapter, base) : loraFiles(adapter, base)
}

/** Parameters under their own names, and the spec as it is. */
function ownFiles ({ spec, tensors }: Adapter, base: AdapterBase): Record<string, string | Uint8Array> {
  const config = { peft_type: OWN_TYPE, task_type: TASK_TYPES[base.task], base_model_name_or_path: base.name, inference_mode: true, target_modules: [...tensors.keys()], ...spec }
  const flat = new Map([...tensors].flatMap(([site, own]) => [...own].map(([parameter, tensor]) => [`${KEY_PREFIX}${site}.${parameter}`, tensor] as const)))
  return { [CONFIG_FILE]: JSON.stringify(config, null, 2) + '\n', [TENSOR_FILE]: encodeSafetensors(flat, { metadata: { format: 'pt', [SPEC_MARK]: JSON.stringify(spec) } }) }
}

/**
 * A linear auxiliary W `[out, in]` becomes the product of itself and an identity, a LoRA of full rank, which is exact. Of a
 * convolution, A is one `[r, channels, height, width]`, and B one of single pixels, `[out, r, 1, 1]`. Those of an embedding are
 * called `lora_embedding_A` and `lora_embedding_B`.
 */
function loraFiles ({ spec, tensors }: Adapter, base: AdapterBase): Record<string, string | Uint8Array> {
  const { kind, rankStabilised = false } = spec
  const factors = kind === 'linear' ? mapSites(tensors, factorsOf) : tensors
  const shapes = [...factors].map(([site, factor]) => {
    const rank = factor.get('lora_A.weight')?.shape[0] ?? rankAt(spec, site)
    return { site, rank, alpha: rank === rankAt(spec, site) ? spec.alphas?.[site] ?? spec.alpha : scaleAt(spec, site) * (rankStabilised ? Math.sqrt(rank) : rank) } // a quotient times its divisor need not be what it was
  })
  const [first] = kind === 'linear' ? [...shapes].sort((a, b) => b.rank - a.rank) : [spec]
  const patternOf = (value: 'rank' | 'alpha'): Record<string, number> => Object.fromEntries(shapes.filter(own => own[value] !== first[value]).map(own => [own.site, own[value]]))
  const config = {
    peft_type: 'LORA',
    task_type: TASK_TYPES[base.task],
    base_model_name_or_path: base.name,
    inference_mode: true,
    r: first.rank,
    lora_alpha: first.alpha,
    rank_pattern: patternOf('rank'),
    alpha_pattern: patternOf('alpha'),
    use_rslora: rankStabilised,
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
  const mark = kind === 'linear' ? { [SPEC_MARK]: JSON.stringify(spec) } : {}
  return { [CONFIG_FILE]: JSON.stringify(config, null, 2) + '\n', [TENSOR_FILE]: encodeSafetensors(flat, { metadata: { format: 'pt', ...mark } }) }
}

function loraFactors (tensors: NamedTensors): AdapterTensors {
  const sites = new Map<string, Map<string, FloatTensor>>()
  for (const key of tensors.keys()) {
    if (BASE_WEIGHT.test(key)) continue
    const match = FACTOR.exec(key)
    if (match === null) throw new InvalidAdapterError(`${key} is not a LoRA weight; modules that were trained whole (modules_to_save) are not supported`)
    const [, site, factor, ofEmbedding = factor] = match
    sites.set(site, (sites.get(site) ?? new Map<string, FloatTensor>()).set(`lora_${ofEmbedding}.weight`, asMatrix(floatTensor(tensors, key))))
  }
  return sites
}

/** Ranks are those of the factors; α follows the first pattern that a site's name ends with, as in PEFT. */
function loraSpec ({ r, lora_alpha: alpha, use_rslora: stabilised, alpha_pattern: patterns }: LoraConfig, factors: AdapterTensors): AuxiliarySpec {
  const ranks = [...factors].map(([site, own]) => [site, own.get('lora_A.weight')?.shape[0] ?? r] as const).filter(([, rank]) => rank !== r)
  const alphas = [...factors.keys()].flatMap(site => {
    const own = patternAt(patterns ?? {}, site)
    return own === undefined ? [] : [[site, own] as const]
  })
  return {
    kind: 'low-rank',
    rank: r,
    alpha,
    ...(ranks.length > 0 && { ranks: Object.fromEntries(ranks) }),
    ...(alphas.length > 0 && { alphas: Object.fromEntries(alphas) }),
    ...(stabilised === true && { rankStabilised: true })
  }
}

function ownParameters (tensors: NamedTensors): AdapterTensors {
  const sites = new Map<string, Map<string, FloatTensor>>()
  for (const key of tensors.keys()) {
    const match = PARAMETER.exec(key)
    if (match === null) throw new InvalidAdapterError(`${key} is no parameter of an auxiliary`)
    const [, site, parameter] = match
    sites.set(site, (sites.get(site) ?? new Map<string, FloatTensor>()).set(parameter, floatTensor(tensors, key)))
  }
  return sites
}

async function readConfig (path: string): Promise<AdapterConfig> {
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
