import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Weights } from '../engine/engine.js'
import { InvalidModelError } from '../errors.js'
import { product, transposed } from '../tensor/matrix.js'
import { readStored } from '../tensor/stored.js'
import type { FloatTensor } from '../types.js'
import { factorNames } from './factored.js'
import type { Network } from './network.js'
import { networkOf } from './networks/registry.js'
import { findWeights, quantizeLinear, type WeightForm } from './weights.js'

export const CONFIG_FILE = 'config.json'

/** A base model as it lies in a Hugging Face folder. */
export interface ModelFolder {
  readonly folder: string
  /** For people: the folder's name. */
  readonly name: string
  /** What `config.json` says. */
  readonly json: Readonly<Record<string, unknown>>
  /** What of it changes the network's numbers, as text. */
  readonly config: string
  readonly network: Network
  readonly weights: Weights
}

/**
 * Finds a model's weights, and reads none of them.
 *
 * @throws {InvalidModelError} if the folder does not hold a model that we know
 */
export async function openModelFolder (folder: string, { dtype, baseQuantize }: WeightForm = {}): Promise<ModelFolder> {
  const json = await readConfig(folder)
  const { network, config } = networkOf(json, join(folder, CONFIG_FILE))
  const found = await findWeights(folder, network, dtype)
  const weights = baseQuantize === undefined ? found : await quantizeLinear(found, network, baseQuantize)
  return { folder, name: basename(resolve(folder)), json: json as Record<string, unknown>, config, network, weights }
}

/** θ of a site's module, `[out, in]` in whatever layout it is stored; the product where it is stored as two factors. */
export async function readMatrix ({ network, weights }: Pick<ModelFolder, 'network' | 'weights'>, site: string): Promise<FloatTensor> {
  const read = async (name: string): Promise<FloatTensor> => {
    const stored = weights.get(name)
    if (stored === undefined) throw new InvalidModelError(`weight ${name} is not there`)
    return await readStored(name, stored)
  }
  if (network.ranks?.has(site) === true) {
    const { u, v } = factorNames(site)
    return product(await read(u), await read(v))
  }
  const { name, layout } = network.siteWeight(site)
  const { shape: [rows, ...rest], values } = await read(name)
  const matrix = { shape: [rows, rest.reduce((all, size) => all * size, 1)], values }
  return layout === 'in-out' ? transposed(matrix) : matrix
}

async function readConfig (folder: string): Promise<unknown> {
  const path = join(folder, CONFIG_FILE)
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new InvalidModelError(`${path} is not there or not JSON; a model is a Hugging Face folder with config.json, model.safetensors and tokenizer.json`, { cause })
  }
}
