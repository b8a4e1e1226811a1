import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import { InvalidModelError } from '../errors.js'
import type { Batch, DeltaWeights, Site } from '../types.js'
import { Gpt2, gpt2Config, gpt2Info, readGpt2 } from './gpt2.js'
import type { Network, NetworkInfo } from './network.js'
import { type PassOptions, type PassResult, runPass } from './pass.js'
import { WeightFiles } from './weights.js'

/** What can be said of a base model without loading it. */
export interface ModelInfo extends NetworkInfo {
  /**
   * Names the numbers, not the file: sha-256, in hex, over the configuration and every weight as float32. Hosts with
   * the same id are interchangeable, whatever dtype or shards their files have.
   */
  readonly id: string
  /** For people: the folder's name. */
  readonly name: string
}

/** A frozen base model as it is loaded from a Hugging Face folder: what a host lends. */
export class BaseModel implements ModelInfo {
  readonly id: string
  readonly name: string
  readonly #network: Network

  private constructor (id: string, name: string, network: Network) {
    this.id = id
    this.name = name
    this.#network = network
  }

  /**
   * @param folder with `config.json` and safetensors
   * @throws {InvalidModelError} if it does not hold a model that we know
   */
  static async load (folder: string): Promise<BaseModel> {
    const config = await readConfig(folder)
    const files = await WeightFiles.open(folder)
    try {
      const network = await Gpt2.load(config, files)
      return new BaseModel(files.digest(JSON.stringify(config)), basename(resolve(folder)), network)
    } finally {
      await files.close()
    }
  }

  get sites (): readonly Site[] { return this.#network.info.sites }
  get defaultSites (): readonly string[] { return this.#network.info.defaultSites }
  get fanInFanOut (): boolean { return this.#network.info.fanInFanOut }
  get positions (): number { return this.#network.info.positions }
  get vocabSize (): number { return this.#network.info.vocabSize }

  /** Forward, and backward where sites are asked for; see `runPass`. */
  async pass (batch: Batch, options: PassOptions): Promise<PassResult> {
    return await runPass(this.#network, batch, options)
  }

  /** Runs with θ + ΔW from now on; an empty map goes back to θ. */
  merge (delta: DeltaWeights): void {
    tf.tidy(() => this.#network.merge(new Map([...delta].map(([site, { shape, values }]) =>
      [site, tf.tensor2d(values, shape as [number, number])]))))
  }

  dispose (): void {
    this.#network.dispose()
  }
}

/**
 * Reads all weights once for the model's id, and keeps none: what a trainer needs to know of a folder that it has.
 *
 * @throws {InvalidModelError} if it does not hold a model that we know
 */
export async function describeModel (folder: string): Promise<ModelInfo> {
  const config = await readConfig(folder)
  const files = await WeightFiles.open(folder)
  try {
    const weights = readGpt2(config, files)
    while ((await weights.next()).done !== true) { /* reading makes the id */ }
    return { ...gpt2Info(config), id: files.digest(JSON.stringify(config)), name: basename(resolve(folder)) }
  } finally {
    await files.close()
  }
}

async function readConfig (folder: string): Promise<z.infer<typeof gpt2Config>> {
  const path = join(folder, 'config.json')
  let json: unknown
  try {
    json = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new InvalidModelError(`${path} is not there or not JSON; a model is a Hugging Face folder with config.json, model.safetensors and tokenizer.json`, { cause })
  }
  const config = gpt2Config.safeParse(json)
  if (!config.success) throw new InvalidModelError(`${path}: ${z.prettifyError(config.error)}`)
  return config.data
}
