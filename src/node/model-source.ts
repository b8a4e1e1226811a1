import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { peerIdFromString } from '@libp2p/peer-id'
import { InvalidModelError, NoHostError } from '../errors.js'
import { describeModel, type ModelInfo } from '../model/base-model.js'
import { createTokenizer, loadTokenizer, type Tokenizer } from '../model/tokenizer.js'
import type { WeightForm } from '../model/weights.js'
import type { Advert, Adverts } from '../protocols/advert/index.js'
import { Deadline } from '../protocols/deadline.js'
import type { ColaNode } from './node.js'

/** What a trainer needs of a base model: all but its weights. */
export interface ModelSource {
  readonly info: ModelInfo
  /** @throws {InvalidModelError} if it has none that we know */
  readonly tokenizer: () => Promise<Tokenizer>
  /** What another file of its folder holds, as JSON; undefined where it is not there. @throws {InvalidModelError} if it is not JSON */
  readonly file: (name: string) => Promise<unknown>
}

/** Fewer digits of an id may be a name. */
const MIN_ID_DIGITS = 8

export async function isFolder (path: string): Promise<boolean> {
  return await stat(path).then(found => found.isDirectory(), () => false)
}

/** A model whose folder is here. @throws {InvalidModelError} if it does not hold one */
export async function modelInFolder (folder: string, form: WeightForm = {}): Promise<ModelSource> {
  return sourceInFolder(folder, await describeModel(folder, form))
}

/** A model whose folder is here, and of which all else is known. */
export function sourceInFolder (folder: string, info: ModelInfo): ModelSource {
  return {
    info,
    tokenizer: async () => await loadTokenizer(folder),
    file: async name => parseFile(await readFile(join(folder, name), 'utf8').catch(unlessAbsent(join(folder, name))), join(folder, name))
  }
}

/**
 * A model that some host offers.
 *
 * @param wanted its id, the beginning of its id, or its name
 * @param patience in milliseconds
 * @throws {NoHostError} if no host that offers it is found in time
 */
export async function modelInMesh (node: ColaNode, wanted: string, patience: number, signal: AbortSignal): Promise<ModelSource> {
  const advert = await findHost(node.adverts, wanted, patience, signal)
  const pull = async (file: string): Promise<string | undefined> => await pullFile(node, advert, file, signal)
  return { info: { ...advert, id: advert.model }, tokenizer: async () => await pullTokenizer(advert, pull), file: async name => parseFile(await pull(name), name) }
}

/**
 * The first host that is found of a model.
 *
 * @param wanted its id, the beginning of its id, or its name; undefined for any model
 * @param patience in milliseconds
 * @throws {NoHostError} if none is found in time
 */
export async function findHost (adverts: Adverts, wanted: string | undefined, patience: number, signal: AbortSignal): Promise<Advert> {
  const deadline = new Deadline(patience, `a host of ${wanted ?? 'a model'}`, signal)
  try {
    const search = adverts.find(matching(wanted), { signal: deadline.signal })
    const { value: advert } = await search.next()
    await search.return(undefined as never)
    return advert
  } catch (cause) {
    signal.throwIfAborted()
    throw new NoHostError(`no host of ${wanted === undefined ? 'any model' : `model ${wanted}`} was found in ${patience / 1000} s, and there is no such folder; models on offer: ${modelsOnOffer(adverts)}`, { cause })
  } finally {
    deadline.clear()
  }
}

function matching (wanted: string | undefined): string | ((advert: Advert) => boolean) {
  if (wanted === undefined) return () => true
  return wanted.length === 64 ? wanted : ({ model, name }) => name === wanted || (wanted.length >= MIN_ID_DIGITS && model.startsWith(wanted))
}

/** For people. */
export function modelsOnOffer (adverts: Adverts): string {
  return [...new Set(adverts.live().map(({ name, model }) => `${name} (${model.slice(0, MIN_ID_DIGITS)})`))].join(', ') || 'none'
}

async function pullFile (node: ColaNode, { peer, files }: Advert, file: string, signal: AbortSignal): Promise<string | undefined> {
  if (!Object.hasOwn(files, file)) return undefined
  const bytes = await node.blobs.pull(files[file], [peerIdFromString(peer)], { kind: 'tokenizer', signal })
  return new TextDecoder().decode(bytes)
}

async function pullTokenizer ({ name }: Advert, pull: (file: string) => Promise<string | undefined>): Promise<Tokenizer> {
  const json = await pull('tokenizer.json')
  if (json === undefined) throw new NoHostError(`the host of ${name} offers no tokenizer.json; give the model's folder with --model`)
  return createTokenizer(json, await pull('tokenizer_config.json'), await pull('chat_template.jinja'))
}

/** Undefined for a file that is not there. */
function unlessAbsent (path: string): (error: unknown) => undefined {
  return cause => {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new InvalidModelError(`${path} cannot be read (${(cause as Error).message})`, { cause })
  }
}

function parseFile (text: string | undefined, name: string): unknown {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new InvalidModelError(`${name} is not JSON`, { cause })
  }
}
