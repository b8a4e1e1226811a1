import { stat } from 'node:fs/promises'
import { peerIdFromString } from '@libp2p/peer-id'
import { NoHostError } from '../../errors.js'
import { describeModel, type ModelInfo } from '../../model/base-model.js'
import { createTokenizer, loadTokenizer, type Tokenizer } from '../../model/tokenizer.js'
import type { ModelDtype } from '../../model/weights.js'
import type { Advert } from '../../protocols/advert/index.js'
import { Deadline } from '../../protocols/deadline.js'
import type { ColaNode } from '../node.js'

/** What a trainer needs of a base model: all but its weights. */
export interface ModelSource {
  readonly info: ModelInfo
  readonly tokenizer: () => Promise<Tokenizer>
}

/** Fewer digits of an id may be a name. */
const MIN_ID_DIGITS = 8

export async function isFolder (path: string): Promise<boolean> {
  return await stat(path).then(found => found.isDirectory(), () => false)
}

/** A model whose folder is here. @throws {InvalidModelError} if it does not hold one */
export async function modelInFolder (folder: string, dtype: ModelDtype = 'f32'): Promise<ModelSource> {
  return { info: await describeModel(folder, dtype), tokenizer: async () => await loadTokenizer(folder) }
}

/**
 * A model that some host offers.
 *
 * @param wanted its id, the beginning of its id, or its name
 * @param patience in milliseconds
 * @throws {NoHostError} if no host that offers it is found in time
 */
export async function modelInMesh (node: ColaNode, wanted: string, patience: number, signal: AbortSignal): Promise<ModelSource> {
  const deadline = new Deadline(patience, `a host of ${wanted}`, signal)
  try {
    const found = wanted.length === 64 ? wanted : ({ model, name }: Advert) => name === wanted || (wanted.length >= MIN_ID_DIGITS && model.startsWith(wanted))
    const search = node.adverts.find(found, { signal: deadline.signal })
    const { value: advert } = await search.next()
    await search.return(undefined as never)
    return { info: { ...advert, id: advert.model }, tokenizer: async () => await pullTokenizer(node, advert, signal) }
  } catch (cause) {
    signal.throwIfAborted()
    const others = [...new Set(node.adverts.live().map(({ name, model }) => `${name} (${model.slice(0, MIN_ID_DIGITS)})`))].join(', ')
    throw new NoHostError(`no host of model ${wanted} was found in ${patience / 1000} s, and there is no such folder; models on offer: ${others || 'none'}`, { cause })
  } finally {
    deadline.clear()
  }
}

async function pullTokenizer (node: ColaNode, { peer, name, files }: Advert, signal: AbortSignal): Promise<Tokenizer> {
  const pull = async (file: string): Promise<string | undefined> => {
    if (!Object.hasOwn(files, file)) return undefined
    const bytes = await node.blobs.pull(files[file], [peerIdFromString(peer)], { kind: 'tokenizer', signal })
    return new TextDecoder().decode(bytes)
  }
  const json = await pull('tokenizer.json')
  if (json === undefined) throw new NoHostError(`the host of ${name} offers no tokenizer.json; give the model's folder with --model`)
  return createTokenizer(json, await pull('tokenizer_config.json'), await pull('chat_template.jinja'))
}
