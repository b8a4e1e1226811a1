import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { patternAt } from '../../auxiliary-spec.js'
import { InvalidAdapterError } from '../../errors.js'
import { decodeSafetensors, floatTensor } from '../../tensor/safetensors.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, NamedTensors } from '../../types.js'
import { parameterShapes } from '../auxiliary.js'
import { type Adapter, CONFIG_FILE, SPEC_MARK, TENSOR_FILE } from './adapter.js'
import { type AdapterConfig, type Ia3Config, type LoraConfig, OWN_TYPE, readConfig, specSchema } from './config.js'
import { productOf } from './full-rank.js'
import { asMatrix } from './stored-form.js'

/** The key of a factor, or of DoRA's magnitudes; that of an embedding's factor says so, and is no module's weight. */
const FACTOR = /^(?:base_model\.model\.)?(.+)\.lora_(?:([AB])\.weight|embedding_([AB])|(magnitude_vector)(?:\.weight)?)$/

/** What PEFT leaves beside the factors of embeddings and of the head: the base model's own weights, as they are there. */
const BASE_WEIGHT = /\.base_layer\.weight$/

/** A parameter's key where auxiliaries are not LoRA's. */
const PARAMETER = /^base_model\.model\.(.+)\.(layers\.\d+\.(?:weight|bias)|lora_[AB]\.weight|lora_magnitude_vector)$/

/** An (IA)³ vector's key. */
const VECTOR = /^(?:base_model\.model\.)?(.+)\.(ia3_l)$/

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
    return checked(adapterIn(config, tensors, spec))
  } catch (cause) {
    throw new InvalidAdapterError(`${path}: ${(cause as Error).message}`, { cause })
  }
}

/** @param spec what the file says of itself, where PEFT's format does not tell it */
function adapterIn (config: AdapterConfig, tensors: NamedTensors, spec: AuxiliarySpec | undefined): Adapter {
  if (config.peft_type === OWN_TYPE) {
    if (spec === undefined) throw new InvalidAdapterError(`it does not say what kind of auxiliaries it holds, under ${SPEC_MARK}`)
    return { spec, tensors: parametersBySite(tensors, PARAMETER, 'no parameter of an auxiliary') }
  }
  if (config.peft_type === 'IA3') return { spec: { kind: 'ia3', rank: 1, alpha: 1 }, tensors: vectors(config, tensors) }
  const factors = loraFactors(tensors)
  return spec?.kind === 'linear'
    ? { spec, tensors: new Map([...factors].map(([site, own]) => [site, productOf(own)])) }
    : { spec: loraSpec(config, factors), tensors: factors }
}

/** @throws {InvalidAdapterError} if a site has other parameters than those of its kind */
function checked (adapter: Adapter): Adapter {
  const { spec: { kind }, tensors } = adapter
  const expected = [...parameterShapes({ kind, rank: 1, alpha: 1 }, { name: kind, inFeatures: 1, outFeatures: 1 }).keys()]
  for (const [site, own] of tensors) {
    if (own.size !== expected.length || !expected.every(name => own.has(name))) {
      throw new InvalidAdapterError(`${site} has ${[...own.keys()].join(', ')}; ${kind} auxiliaries have ${expected.join(', ')}`)
    }
  }
  return adapter
}

/** The adapters whose sum a folder holds: one, or where there are such that cannot be one, all of its parts. Throws as `readAdapter` does. */
export async function readAdapters (folder: string): Promise<Adapter[]> {
  const names = await readdir(folder).catch((): string[] => [])
  const parts = names.includes(CONFIG_FILE) ? [] : names.filter(name => PART.test(name)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  return await Promise.all(parts.length === 0 ? [readAdapter(folder)] : parts.map(async part => await readAdapter(join(folder, part))))
}

function loraFactors (tensors: NamedTensors): AdapterTensors {
  const factors = new Map([...tensors].filter(([key]) => !BASE_WEIGHT.test(key)))
  return parametersBySite(factors, FACTOR, 'no LoRA weight; modules that were trained whole (modules_to_save) are not supported', (factor, ofEmbedding, magnitude) => magnitude === undefined ? `lora_${ofEmbedding ?? factor}.weight` : `lora_${magnitude}`)
}

/** @throws {InvalidAdapterError} if one is multiplied by the input of its module, as those of PEFT's `feedforward_modules` are */
function vectors ({ feedforward_modules: feedforward }: Ia3Config, tensors: NamedTensors): AdapterTensors {
  const adapter = parametersBySite(tensors, VECTOR, 'no (IA)³ vector; modules that were trained whole (modules_to_save) are not supported')
  const atInput = [...adapter.keys()].find(site => typeof feedforward === 'string' ? new RegExp(`^(?:${feedforward})$`).test(site) : feedforward?.some(end => site.endsWith(end)))
  if (atInput !== undefined) throw new InvalidAdapterError(`${atInput} is one of the feedforward_modules, whose inputs are scaled; only vectors that scale outputs are supported`)
  return adapter
}

/** Ranks are those of the factors; α follows the first pattern that a site's name ends with, as in PEFT. */
function loraSpec ({ r, lora_alpha: alpha, use_rslora: stabilised, use_dora: dora, lora_dropout: dropout, alpha_pattern: patterns }: LoraConfig, factors: AdapterTensors): AuxiliarySpec {
  const ranks = [...factors].map(([site, own]) => [site, own.get('lora_A.weight')?.shape[0] ?? r] as const).filter(([, rank]) => rank !== r)
  const alphas = [...factors.keys()].flatMap(site => {
    const own = patternAt(patterns ?? {}, site)
    return own === undefined ? [] : [[site, own] as const]
  })
  return {
    kind: dora === true ? 'dora' : 'low-rank',
    rank: r,
    alpha,
    ...(ranks.length > 0 && { ranks: Object.fromEntries(ranks) }),
    ...(alphas.length > 0 && { alphas: Object.fromEntries(alphas) }),
    ...(stabilised === true && { rankStabilised: true }),
    ...(dropout != null && dropout > 0 && { dropout })
  }
}

function parametersBySite (tensors: NamedTensors, pattern: RegExp, otherwise: string, nameOf: (...found: Array<string | undefined>) => string = String): AdapterTensors {
  const sites = new Map<string, Map<string, FloatTensor>>()
  for (const key of tensors.keys()) {
    const match = pattern.exec(key)
    if (match === null) throw new InvalidAdapterError(`${key} is ${otherwise}`)
    const [, site, ...found] = match
    const name = nameOf(...found)
    sites.set(site, (sites.get(site) ?? new Map<string, FloatTensor>()).set(name, asMatrix(name, floatTensor(tensors, key))))
  }
  return sites
}
