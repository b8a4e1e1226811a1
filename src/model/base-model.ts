import type { Engine, Weights } from '../engine/engine.js'
import { InvalidModelError } from '../errors.js'
import type { Batch, FloatTensor } from '../types.js'
import { CausalDecoder } from './causal-decoder.js'
import type { Decoder } from './decoder.js'
import { mergedWeights, type WeightChange } from './merge.js'
import { type ModelFolder, openModelFolder } from './model-folder.js'
import type { CausalNetwork, Network, NetworkInfo, Seq2SeqNetwork } from './network.js'
import { type PassOptions, type PassResult, runPass } from './pass.js'
import { weightNorms } from './weight-norms.js'
import type { RunningNetwork } from './running-network.js'
import { Seq2SeqDecoder } from './seq2seq-decoder.js'
import { hashWeights, type WeightForm } from './weights.js'

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
   * @param form what the weights are kept as; a model of other numbers has another id
   * @throws {InvalidModelError} if it does not hold a model that we know; what `openEngine` throws
   */
  static async load (folder: string, openEngine: (weights: Weights) => Promise<Engine>, form: WeightForm = {}): Promise<BaseModel> {
    return await BaseModel.open(await openModelFolder(folder, form), openEngine)
  }

  /** The same of a folder that has been looked into. */
  static async open (model: ModelFolder, openEngine: (weights: Weights) => Promise<Engine>): Promise<BaseModel> {
    return new BaseModel(await infoOf(model), model.network, await openEngine(model.weights))
  }

  /** Forward, and backward where sites are asked for, of several batches at once; see `runPass`. */
  async pass (batches: readonly Batch[], options: Omit<PassOptions, 'merged'>): Promise<PassResult[]> {
    return await runPass(this.engine, this.#network, batches, { ...options, merged: this.#merged })
  }

  /** Runs with θ + ΔW from now on; an empty map goes back to θ. */
  async merge (changes: ReadonlyMap<string, WeightChange>): Promise<void> {
    this.#merged = await mergedWeights(this.engine, this.#network, changes)
  }

  /** Norms of the rows of W + ΔW of each site, see `weightNorms`: of the pristine W, whatever is merged. */
  async weightNorms (changes: ReadonlyMap<string, WeightChange | null>): Promise<ReadonlyMap<string, FloatTensor>> {
    return await weightNorms(this.engine, this.#network, changes)
  }

  /**
   * Continues a text, or makes another of it, merged as it is now.
   *
   * @throws {InvalidModelError} if it is no model that does
   */
  decoder (beside?: RunningNetwork['beside']): Decoder {
    const network = this.#network
    const running = { engine: this.engine, merged: this.#merged, ...(beside && { beside }) }
    if (isCausal(network)) return new CausalDecoder({ ...running, network })
    if (isSeq2Seq(network)) return new Seq2SeqDecoder({ ...running, network })
    throw new InvalidModelError(`${this.info.name} makes no texts: its task is ${this.info.task}`)
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
export async function describeModel (folder: string, form: WeightForm = {}): Promise<ModelInfo> {
  return await infoOf(await openModelFolder(folder, form))
}

async function infoOf ({ name, network, weights, config }: ModelFolder): Promise<ModelInfo> {
  return { ...network.info, id: await hashWeights(weights, config), name }
}

function isCausal (network: Network): network is CausalNetwork {
  return network.info.task === 'CAUSAL_LM'
}

function isSeq2Seq (network: Network): network is Seq2SeqNetwork {
  return network.info.task === 'SEQ_2_SEQ_LM'
}
