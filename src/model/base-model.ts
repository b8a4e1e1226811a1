import { readFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { Engine, Weights } from '../engine/engine.js'
import { InvalidModelError } from '../errors.js'
import type { Batch, FloatTensor } from '../types.js'
import { Decoder, type DecoderInit } from './decoder.js'
import { mergedWeights, type WeightChange } from './merge.js'
import type { Network, NetworkInfo } from './network.js'
import { networkOf } from './networks/registry.js'
import { type PassOptions, type PassResult, runPass } from './pass.js'
import { findWeights, hashWeights, type ModelDtype } from './weights.js'

const CONFIG_FILE = 'config.json'

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

/** A frozen base model on an engine: what a host lends. */
export class BaseModel {
  readonly info: ModelInfo
  readonly engine: Engine
  readonly #network: Network
  /** θ + αΔW of merged sites, in the layout of θ. */
  #merged: ReadonlyMap<string, FloatTensor> = new Map<string, FloatTensor>()

  private constructor (info: ModelInfo, network: Network, engine: Engine) {
    this.info = info
    this.#network = network
    this.engine = engine
  }

  /**
   * @param folder with `config.json` and safetensors
   * @param openEngine makes the engine that holds the weights, which belongs to the model
   * @param dtype what matrices are rounded to; a model of other numbers has another id
   * @throws {InvalidModelError} if it does not hold a model that we know; what `openEngine` throws
   */
  static async load (folder: string, openEngine: (weights: Weights) => Promise<Engine>, dtype: ModelDtype = 'f32'): Promise<BaseModel> {
    const { info, network, weights } = await readModel(folder, dtype)
    return new BaseModel(info, network, await openEngine(weights))
  }

  /** Forward, and backward where sites are asked for, of several batches at once; see `runPass`. */
  async pass (batches: readonly Batch[], options: Omit<PassOptions, 'merged'>): Promise<PassResult[]> {
    return await runPass(this.engine, this.#network, batches, { ...options, merged: this.#merged })
  }

  /** Runs with θ + ΔW from now on; an empty map goes back to θ. */
  async merge (changes: ReadonlyMap<string, WeightChange>): Promise<void> {
    this.#merged = await mergedWeights(this.engine, this.#network, changes)
  }

  /** Continues a text, merged as it is now. */
  decoder (beside?: DecoderInit['beside']): Decoder {
    return new Decoder({ engine: this.engine, network: this.#network, merged: this.#merged, ...(beside && { beside }) })
  }

  async dispose (): Promise<void> {
    await this.engine.dispose()
  }
}

/**
 * Reads all weights once for the model's id, and keeps none: what a trainer needs to know of a folder that it has.
 *
 * @throws {InvalidModelError} if it does not hold a model that we know
 */
export async function describeModel (folder: string, dtype: ModelDtype = 'f32'): Promise<ModelInfo> {
  return (await readModel(folder, dtype)).info
}

async function readModel (folder: string, dtype: ModelDtype): Promise<{ info: ModelInfo, network: Network, weights: Weights }> {
  const { network, config } = networkOf(await readConfig(folder), join(folder, CONFIG_FILE))
  const weights = await findWeights(folder, network, dtype)
  const id = await hashWeights(weights, config)
  return { info: { ...network.info, id, name: basename(resolve(folder)) }, network, weights }
}

async function readConfig (folder: string): Promise<unknown> {
  const path = join(folder, CONFIG_FILE)
  try {
    return JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    throw new InvalidModelError(`${path} is not there or not JSON; a model is a Hugging Face folder with config.json, model.safetensors and tokenizer.json`, { cause })
  }
}
