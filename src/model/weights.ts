import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { InvalidModelError, InvalidTensorError } from '../errors.js'
import { decodeValues, floatTensor, headerLength, parseHeader, PREFIX_BYTES, type TensorInfo } from '../tensor/safetensors.js'
import type { FloatTensor } from '../types.js'

/** Gives the weights of a network, one at a time. */
export interface WeightSource {
  /**
   * @param name as transformers saves it
   * @param shape that the network needs
   * @throws {InvalidModelError} if there is no such weight, or not in that shape
   */
  read (name: string, shape: readonly number[]): Promise<FloatTensor>
}

interface Place extends TensorInfo {
  readonly file: FileHandle
  readonly path: string
  /** Byte offset of the data in the file. */
  readonly start: number
}

const shardIndex = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+\.safetensors$/, 'a file of the same folder')) })

/** The prefix that `GPT2Model` lacks and `GPT2LMHeadModel` has: both kinds of file are found on the Hub. */
const HEAD_MODEL_PREFIX = 'transformer.'

/**
 * The safetensors files of a Hugging Face folder: `model.safetensors`, or the shards that
 * `model.safetensors.index.json` lists. Headers are read and checked at once, values when they are asked for.
 */
export class WeightFiles implements WeightSource {
  readonly #places: ReadonlyMap<string, Place>
  readonly #files: readonly FileHandle[]
  readonly #hash: Hash = createHash('sha256')

  private constructor (places: ReadonlyMap<string, Place>, files: readonly FileHandle[]) {
    this.#places = places
    this.#files = files
  }

  /** @throws {InvalidModelError} if the files are missing or damaged */
  static async open (folder: string): Promise<WeightFiles> {
    const files: FileHandle[] = []
    const places = new Map<string, Place>()
    try {
      for (const name of await fileNames(folder)) {
        const path = join(folder, name)
        const file = await openFile(path)
        files.push(file)
        for (const place of await readPlaces(file, path)) places.set(...place)
      }
      return new WeightFiles(places, files)
    } catch (error) {
      await Promise.all(files.map(async file => await file.close()))
      throw error
    }
  }

  async read (name: string, shape: readonly number[]): Promise<FloatTensor> {
    const place = this.#places.get(name) ?? this.#places.get(name.replace(HEAD_MODEL_PREFIX, ''))
    if (place === undefined) throw new InvalidModelError(`weight ${name} is in none of the model's safetensors files`)
    if (place.shape.join() !== shape.join()) {
      throw new InvalidModelError(`weight ${name} is [${place.shape.join(', ')}] in ${place.path}, config.json makes it [${shape.join(', ')}]`)
    }
    const bytes = Buffer.alloc(place.end - place.begin)
    await place.file.read(bytes, 0, bytes.byteLength, place.start + place.begin)
    const tensor = named(name, place, bytes)
    const { values } = tensor
    this.#hash.update(`${name}[${shape.join()}]`).update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    return tensor
  }

  /** Sha-256, in hex, over `seed` and what was read: name, shape and float32 values, in the order of reading. */
  digest (seed: string): string {
    return this.#hash.update(seed).digest('hex')
  }

  async close (): Promise<void> {
    await Promise.all(this.#files.map(async file => await file.close()))
  }
}

function named (name: string, place: Place, bytes: Uint8Array): FloatTensor {
  try {
    return floatTensor(new Map([[name, decodeValues(name, place, bytes)]]), name)
  } catch (cause) {
    throw new InvalidModelError(`${place.path}: ${(cause as Error).message}`, { cause })
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

async function openFile (path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (cause) {
    throw new InvalidModelError(`${path} cannot be read; a model folder has model.safetensors, or the shards that model.safetensors.index.json lists`, { cause })
  }
}

async function readPlaces (file: FileHandle, path: string): Promise<Array<[string, Place]>> {
  try {
    const { size } = await file.stat()
    const prefix = Buffer.alloc(PREFIX_BYTES)
    const { bytesRead } = await file.read(prefix, 0, PREFIX_BYTES, 0)
    const length = headerLength(prefix.subarray(0, bytesRead), size)
    const json = Buffer.alloc(length)
    await file.read(json, 0, length, PREFIX_BYTES)
    const start = PREFIX_BYTES + length
    const { tensors } = parseHeader(json, size - start)
    return [...tensors].map(([name, info]) => [name, { ...info, file, path, start }])
  } catch (cause) {
    if (!(cause instanceof InvalidTensorError)) throw cause
    throw new InvalidModelError(`${path}: ${cause.message}`, { cause })
  }
}
