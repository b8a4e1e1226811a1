import { copyFile, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile, replaceFolderBy } from '../files.js'
import { type FloatDtype, sizeInBytes, valueBytes } from '../tensor/safetensors.js'
import { writeSafetensors, type WriteOptions, type WrittenTensor } from '../tensor/safetensors-file.js'
import { readBytes, readStored, type StoredTensor } from '../tensor/stored.js'
import { transposed } from '../tensor/matrix.js'
import type { FloatTensor, Site } from '../types.js'
import { checkOwnMatrix, factorNames, matrixNames, RANKS_KEY } from './factored.js'
import { CONFIG_FILE, type ModelFolder } from './model-folder.js'

/** What a module's matrix `[out, in]` becomes: another one, which is made when its turn comes, or two factors U `[out, r]` and V `[r, in]`. */
export type Replacement =
  | { readonly weight: () => Promise<FloatTensor> }
  | { readonly u: FloatTensor, readonly v: FloatTensor }

export interface WriteModelOptions extends WriteOptions {
  /** As what all weights are written. @default each as it lies */
  readonly dtype?: FloatDtype
}

/** Files of weights, which are written anew or are the same in another format. */
const WEIGHTS = /\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|onnx|gguf|index\.json)$/i

/** What transformers calls our dtypes. */
const TRANSFORMERS_DTYPES: Readonly<Record<FloatDtype, string>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }

/**
 * Writes a model with other matrices at some of its modules as a Hugging Face folder: `config.json`, `model.safetensors` under
 * transformers' names and in its layouts, and the model's other files. The folder is there whole or not at all.
 *
 * @param replacements by full module name
 * @throws {InvalidModelError} if a module has no matrix of its own
 * @throws the signal's reason when it ends
 */
export async function writeModel (model: ModelFolder, out: string, replacements: ReadonlyMap<string, Replacement>, { dtype, ...options }: WriteModelOptions = {}): Promise<void> {
  for (const site of replacements.keys()) checkOwnMatrix(model.network, site)
  await replaceFolderBy(out, async folder => {
    for (const name of await otherFiles(model.folder)) await copyFile(join(model.folder, name), join(folder, name))
    await writeSafetensors(join(folder, 'model.safetensors'), tensorsOf(model, replacements, dtype), options)
    await replaceFile(join(folder, CONFIG_FILE), JSON.stringify(configOf(model, replacements, dtype), null, 2) + '\n')
  })
}

/** As what a module's new matrix is written, unless told otherwise: as its old one lies. */
export function dtypeOf ({ network, weights }: Pick<ModelFolder, 'network' | 'weights'>, site: string): FloatDtype {
  const [name] = matrixNames(network, site)
  return floatDtype(weights.get(name))
}

function floatDtype (stored: StoredTensor | undefined): FloatDtype {
  const { dtype } = stored ?? {}
  return dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32'
}

async function otherFiles (folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter(name => name !== CONFIG_FILE && !WEIGHTS.test(name))
  const files = await Promise.all(names.map(async name => (await stat(join(folder, name))).isFile())) // the Hub's cache is made of links
  return names.filter((_, i) => files[i])
}

/** Tensors that stand where one stood. */
type NamedWritten = ReadonlyArray<readonly [string, WrittenTensor]>

function tensorsOf (model: ModelFolder, replacements: ReadonlyMap<string, Replacement>, dtype: FloatDtype | undefined): Map<string, WrittenTensor> {
  const { network, weights } = model
  const replaced = new Map(network.info.sites.flatMap(site => {
    const replacement = replacements.get(site.name)
    if (replacement === undefined) return []
    const [first, ...others] = matrixNames(network, site.name)
    const written = replacedTensors(model, site, replacement, dtype ?? dtypeOf(model, site.name))
    return [[first, written], ...others.map((name): [string, NamedWritten] => [name, []])] satisfies Array<[string, NamedWritten]>
  }))
  return new Map([...weights].flatMap(([name, stored]) => replaced.get(name) ?? [[name, kept(name, stored, dtype)] as const]))
}

function kept (name: string, stored: StoredTensor, wanted: FloatDtype | undefined): WrittenTensor {
  const { shape, dtype, bytes } = stored
  const written = wanted ?? (bytes === 0 ? 'F32' : undefined) // zeros that lie nowhere
  if (written === undefined || (written === dtype && bytes === sizeInBytes(stored))) return { shape, dtype, bytes: async () => await readBytes(name, stored) }
  return { shape, dtype: written, bytes: async () => valueBytes((await readStored(name, stored)).values, written) }
}

function replacedTensors ({ network }: ModelFolder, site: Site, replacement: Replacement, dtype: FloatDtype): NamedWritten {
  const written = (shape: readonly number[], values: () => Promise<FloatTensor>): WrittenTensor => ({ shape, dtype, bytes: async () => valueBytes((await values()).values, dtype) })
  if ('u' in replacement) {
    const names = factorNames(site.name)
    const { u, v } = replacement
    return [[names.u, written(u.shape, async () => await Promise.resolve(u))], [names.v, written(v.shape, async () => await Promise.resolve(v))]]
  }
  const { weight } = replacement
  const { name, layout } = network.siteWeight(site.name)
  return [[name, layout === 'in-out' ? written([site.inFeatures, site.outFeatures], async () => transposed(await weight())) : written(storedShape(site), weight)]]
}

/** Of a module whose matrix is stored as `[out, in]`. */
function storedShape ({ inFeatures, outFeatures, convolution }: Site): readonly number[] {
  return convolution === undefined ? [outFeatures, inFeatures] : [outFeatures, convolution.channels, ...convolution.kernel]
}

function configOf ({ json, network }: ModelFolder, replacements: ReadonlyMap<string, Replacement>, dtype: FloatDtype | undefined): Record<string, unknown> {
  const { [RANKS_KEY]: _, torch_dtype: older, ...others } = json // torch_dtype: what older versions of transformers call it
  const ranks = new Map(network.ranks)
  for (const [site, replacement] of replacements) {
    if ('u' in replacement) ranks.set(site, replacement.u.shape[1])
    else ranks.delete(site)
  }
  const kept = older === undefined ? {} : { torch_dtype: older }
  return {
    ...others,
    ...(dtype === undefined ? kept : { dtype: TRANSFORMERS_DTYPES[dtype] }),
    ...(ranks.size === 0 ? {} : { [RANKS_KEY]: Object.fromEntries(ranks) })
  }
}
