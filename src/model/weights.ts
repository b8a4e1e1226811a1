import { createHash } from 'node:crypto'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Weights } from '../engine/engine.js'
import { InvalidModelError, InvalidTensorError } from '../errors.js'
import type { Quantization } from '../tensor/quantize.js'
import { quantizedCopy } from '../tensor/quantized-copy.js'
import { headerLength, parseHeader, PREFIX_BYTES } from '../tensor/safetensors.js'
import { type HalfDtype, readStored, type StoredTensor, storedZeros } from '../tensor/stored.js'
import type { FloatTensor } from '../types.js'
import { matrixNames } from './factored.js'
import type { Network } from './network.js'

export const MODEL_DTYPES = ['f32', 'bf16', 'f16'] as const
/** What the matrices of a base model are kept as. */
export type ModelDtype = typeof MODEL_DTYPES[number]

/** In how many bits the weights of a base model are kept. A model of other numbers has another id. */
export interface WeightForm {
  /** To which matrices are rounded. @default f32 */
  readonly dtype?: ModelDtype | undefined
  /** As what the matrices of linear modules are kept, whatever the dtype. @default they are not quantised */
  readonly baseQuantize?: Quantization | undefined
}

const ROUNDED: Record<ModelDtype, HalfDtype | undefined> = { f32: undefined, bf16: 'BF16', f16: 'F16' }

const shardIndex = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+\.safetensors$/, 'a file of the same folder')) })

/**
 * Finds a network's weights in the safetensors files of a Hugging Face folder: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` lists. Headers are read and checked, values are not.
 *
 * @param network whose weights are wanted, with the head or, where it has none of its own, without: both kinds of file are found on the Hub
 * @param dtype to which matrices are rounded; vectors, which are few and sensitive, stay as they are
 * @throws {InvalidModelError} if the files are missing or damaged, or lack a weight, or have it in another shape
 */
export async function findWeights (
  folder: string, network: Pick<Network, 'weights' | 'prefix' | 'aliases' | 'zeros'>, dtype: ModelDtype = 'f32'
): Promise<Weights> {
  const rounded = ROUNDED[dtype]
  const found = new Map<string, StoredTensor>()
  for (const name of await fileNames(folder)) {
    for (const [weight, place] of await readHeader(join(folder, name))) found.set(weight, place)
  }
  const zerosOf = (name: string, shape: readonly number[]): StoredTensor | undefined => {
    const [first] = found.values()
    return network.zeros?.has(name) === true ? storedZeros(first.path, shape) : undefined
  }
  return new Map([...network.weights].map(([name, shape]) => {
    const [place = zerosOf(name, shape)] = namesOf(name, network).flatMap(own => found.get(own) ?? [])
    if (place === undefined) throw new InvalidModelError(`weight ${name} is in none of the model's safetensors files`)
    if (place.shape.join() !== shape.join()) {
      throw new InvalidModelError(`weight ${name} is [${place.shape.join(', ')}] in ${place.path}, config.json makes it [${shape.join(', ')}]`)
    }
    return [name, rounded !== undefined && shape.length > 1 ? { ...place, rounded } : place]
  }))
}

/** What a weight may be called in a file, the likeliest first. */
function namesOf (weight: string, { prefix, aliases }: Pick<Network, 'prefix' | 'aliases'>): string[] {
  return [weight, ...aliases?.(weight) ?? []].flatMap(name => name.startsWith(prefix) ? [name, name.slice(prefix.length)] : [name])
}

/**
 * With the matrices of linear modules quantised, but that of the one that gives the output: embeddings, norms, biases and
 * convolutions stay as they are, as in QLoRA (arXiv 2305.14314, section 3). Those that are quantised are copied, once.
 *
 * @throws {InvalidModelError} if a matrix cannot be quantised
 * @throws {EngineError} if there is no place for the copy
 */
export async function quantizeLinear (weights: Weights, network: Pick<Network, 'info' | 'siteWeight' | 'ranks'>, kind: Quantization): Promise<Weights> {
  const { sites, output } = network.info
  const spared = matrixNames(network, output)
  const names = new Set(sites.filter(({ embedding = false }) => !embedding).flatMap(({ name }) => matrixNames(network, name)))
  const matrices = [...weights].filter(([name, { shape }]) => names.has(name) && !spared.includes(name) && shape.length === 2)
  try {
    return new Map([...weights, ...await quantizedCopy(new Map(matrices.map(([name, { rounded, ...stored }]) => [name, stored])), kind)])
  } catch (cause) {
    if (!(cause instanceof InvalidTensorError)) throw cause
    throw new InvalidModelError(cause.message, { cause })
  }
}

/**
 * Sha-256, in hex, over each weight's name, shape and float32 values, and the configuration.
 *
 * @throws {InvalidModelError} if a weight is no float
 */
export async function hashWeights (weights: Weights, config: string): Promise<string> {
  const hash = createHash('sha256')
  for (const [name, stored] of weights) {
    const { values } = await readWeight(name, stored)
    hash.update(`${name}[${stored.shape.join()}]`).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
  }
  return hash.update(config).digest('hex')
}

async function readWeight (name: string, stored: StoredTensor): Promise<FloatTensor> {
  try {
    return await readStored(name, stored)
  } catch (cause) {
    throw new InvalidModelError(`${stored.path}: ${(cause as Error).message}`, { cause })
  }
}

async function fileNames (folder: string): Promise<string[]> {
  const path = join(folder, 'model.safetensors.index.json')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch {
    return ['model.safetensors']
  }
  try {
    return [...new Set(Object.values(shardIndex.parse(JSON.parse(text)).weight_map))].sort()
  } catch (cause) {
    throw new InvalidModelError(`${path} is not an index of safetensors shards`, { cause })
  }
}

async function readHeader (path: string): Promise<Array<[string, StoredTensor]>> {
  const file = await openFile(path)
  try {
    const { size } = await file.stat()
    const prefix = Buffer.alloc(PREFIX_BYTES)
    const { bytesRead } = await file.read(prefix, 0, PREFIX_BYTES, 0)
    const length = headerLength(prefix.subarray(0, bytesRead), size)
    const json = Buffer.alloc(length)
    await file.read(json, 0, length, PREFIX_BYTES)
    const start = PREFIX_BYTES + length
    const { tensors } = parseHeader(json, size - start)
    return [...tensors].map(([name, { dtype, shape, begin, end }]) => [name, { path, offset: start + begin, bytes: end - begin, dtype, shape }])
  } catch (cause) {
    if (!(cause instanceof InvalidTensorError)) throw cause
    throw new InvalidModelError(`${path}: ${cause.message}`, { cause })
  } finally {
    await file.close()
  }
}

async function openFile (path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (cause) {
    throw new InvalidModelError(`${path} cannot be read; a model folder has model.safetensors, or the shards that model.safetensors.index.json lists`, { cause })
  }
}
