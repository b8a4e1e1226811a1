import { z } from 'zod'
import { InvalidModelError } from '../errors.js'
import type { RemoteFile, Repository } from './repository.js'

const MODEL_FILE = 'model.safetensors'
const INDEX_FILE = 'model.safetensors.index.json'
const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors']

/** What is taken beside the weights, where it is there. */
const SMALL_FILES = [
  'config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja',
  'special_tokens_map.json', 'preprocessor_config.json'
]

/** The two places in which a folder says where its weights are. */
export const WEIGHT_FILES = [MODEL_FILE, INDEX_FILE]

/** Weights as other libraries keep them. */
const FOREIGN_WEIGHTS = /^[\w.-]+\.(bin|pt|pth|ckpt|h5|msgpack|onnx|gguf|safetensors)$/

const shardIndex = z.object({ weight_map: z.record(z.string(), z.string()) })

/** What is taken of a repository. */
export interface Choice {
  readonly kind: 'model' | 'adapter'
  /** All but the shards that `index` names. */
  readonly files: readonly RemoteFile[]
  /** The one of `files` that says which shards belong to them. */
  readonly index?: RemoteFile
}

/**
 * The files of a model, or of a PEFT adapter, that we use. Where weights lie in one file and in shards, the one file is
 * taken, as transformers does.
 *
 * @throws {InvalidModelError} if it has no weights in safetensors, or not what belongs to them
 */
export function chooseFiles ({ name, files }: Pick<Repository, 'name' | 'files'>): Choice {
  const named = new Map(files.map(file => [file.name, file]))
  const present = (names: readonly string[]): RemoteFile[] => names.flatMap(one => named.get(one) ?? [])
  const weights = present(WEIGHT_FILES).at(0)
  if (weights !== undefined) {
    if (!named.has('config.json')) throw new InvalidModelError(`${name} has ${weights.name}, and no config.json, which says what model it is of`)
    return { kind: 'model', files: [...present(SMALL_FILES), weights], ...(weights.name === INDEX_FILE && { index: weights }) }
  }
  const adapter = present(ADAPTER_FILES)
  if (adapter.length === ADAPTER_FILES.length) return { kind: 'adapter', files: [...present(SMALL_FILES), ...adapter] }
  throw new InvalidModelError(`${name} has neither ${MODEL_FILE}, nor ${INDEX_FILE} with its shards, nor ${ADAPTER_FILES.join(' with ')}${others(files)}`)
}

/**
 * The shards of a model.
 *
 * @param index the text of `model.safetensors.index.json`
 * @throws {InvalidModelError} if it is none, or names a shard that the repository lacks
 */
export function shardsOf (index: string, { name, files }: Pick<Repository, 'name' | 'files'>): RemoteFile[] {
  return shardNames(index, name).map(shard => {
    const file = files.find(({ name }) => name === shard)
    if (file === undefined) throw new InvalidModelError(`${INDEX_FILE} of ${name} names a shard ${JSON.stringify(shard)}, which is not among the repository's files`)
    return file
  })
}

function shardNames (index: string, name: string): string[] {
  try {
    return [...new Set(Object.values(shardIndex.parse(JSON.parse(index)).weight_map))].sort()
  } catch (cause) {
    throw new InvalidModelError(`${INDEX_FILE} of ${name} is not an index of safetensors shards`, { cause })
  }
}

function others (files: readonly RemoteFile[]): string {
  const found = files.map(({ name }) => name).filter(name => FOREIGN_WEIGHTS.test(name))
  return found.length === 0 ? '' : `; of ${found.slice(0, 3).join(', ')} we read nothing: look for a repository, or a revision of this one, in safetensors`
}
