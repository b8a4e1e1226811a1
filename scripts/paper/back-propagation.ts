import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import type { Engine, Weights } from '../../src/engine/engine.js'
import { matrixInput } from '../../src/engine/matrix-input.js'
import { openEngine } from '../../src/engine/open-engine.js'
import type { Step, TensorsByName } from '../../src/engine/step.js'
import { applyAuxiliary, parameterShapes } from '../../src/gl/auxiliary.js'
import { joinBatches, type PassInputs } from '../../src/model/joined-batch.js'
import { crossEntropy, squaredError } from '../../src/model/loss.js'
import type { Network, NetworkInfo, Parameters, Tap } from '../../src/model/network.js'
import { networkOf } from '../../src/model/networks/registry.js'
import { siteMatrix } from '../../src/model/parameters.js'
import { definitionOf } from '../../src/model/tasks/tasks.js'
import { findWeights } from '../../src/model/weights.js'
import type { Predictions } from '../../src/node/evaluation.js'
import { readStored } from '../../src/tensor/stored.js'
import type { AuxiliarySpec, Batch, FloatTensor, NamedTensors, Site, TensorData } from '../../src/types.js'

/** Auxiliaries that run beside the model: share·α·g_w(x) is added at each of their sites. */
interface Adapter {
  readonly spec: AuxiliarySpec
  readonly sites: readonly Site[]
  readonly share: number
  /** w, by `parameterName`. */
  readonly values: NamedTensors<Float32Array>
}

/** A model as it is now: its own weights, of which some may have moved, and what runs beside it. */
export interface Adapted {
  /** In place of the base model's, by their names. */
  readonly weights: NamedTensors<Float32Array>
  readonly adapters: readonly Adapter[]
}

/** What the loss is differentiated by: those weights, or one of the adapters. */
export type Moving = 'weights' | number

/** Of one batch. */
export interface Differentiated {
  /** Mean over the predictions that count. */
  readonly loss: number
  /** Of that loss, by the name of what moves, in its shape. */
  readonly gradients: NamedTensors<Float32Array>
}

/**
 * Ordinary training's half of a step: TensorFlow.js differentiates the whole adapted model by whatever moves, its own
 * weights or an adapter's. Nothing of Gradient Learning is in it, no tap and no ∇ĥ. The step is compiled as a host's
 * pass is, so that the two can be compared in minutes.
 */
export class BackPropagation {
  readonly network: Network
  readonly #weights: Weights
  readonly #engine: Engine

  private constructor (network: Network, weights: Weights, engine: Engine) {
    this.network = network
    this.#weights = weights
    this.#engine = engine
  }

  /** @param folder of Hugging Face's. Throws what `networkOf`, `findWeights` and `openEngine` throw. */
  static async open (folder: string, log: (line: string) => void, threads?: number): Promise<BackPropagation> {
    const path = join(folder, 'config.json')
    const { network } = networkOf(JSON.parse(await readFile(path, 'utf8')), path)
    const weights = await findWeights(folder, network)
    return new BackPropagation(network, weights, await openEngine(weights, { ...(threads !== undefined && { threads }) }, log))
  }

  get info (): NetworkInfo { return this.network.info }

  /** The base model's own weights as they are at the start, those of sites or all. */
  async weightsOf (sites: readonly Site[] | 'all'): Promise<NamedTensors<Float32Array>> {
    const names = sites === 'all' ? undefined : new Set(sites.map(({ name }) => this.network.siteWeight(name).name))
    const wanted = [...this.#weights].filter(([name]) => names?.has(name) ?? true)
    return new Map(await Promise.all(wanted.map(async ([name, stored]) => [name, await readStored(name, stored)] as const)))
  }

  async differentiate (batch: Batch, adapted: Adapted, moving: Moving): Promise<Differentiated> {
    const inputs = joinBatches([batch], this.network)
    const outputs = await this.#run(inputs, adapted, { moving })
    const names = moving === 'weights' ? [...adapted.weights.keys()] : [...adapted.adapters[moving].values.keys()]
    return { loss: sumOf(tensorNamed(outputs, 'losses')), gradients: new Map(names.map(name => [name, tensorNamed(outputs, `gradient.${name}`)])) }
  }

  /** What it predicts, as `evaluateRows` asks for it. */
  predictions (adapted: Adapted): Predictions {
    return {
      info: this.info,
      pass: async (batches, { logits: wantsLogits = false }) => {
        const joined = joinBatches(batches, this.network)
        const outputs = await this.#run(joined, adapted, { logits: wantsLogits })
        return joined.parts.map(({ batch: { rows }, row, counted }) => ({
          loss: sumOf(rowsOf(tensorNamed(outputs, 'losses'), row, rows)),
          tokens: counted,
          ...(wantsLogits && { logits: rowsOf(tensorNamed(outputs, 'logits'), row, rows) })
        }))
      }
    }
  }

  async dispose (): Promise<void> {
    await this.#engine.dispose()
  }

  async #run (inputs: PassInputs, { weights, adapters }: Adapted, { moving, logits = false }: { readonly moving?: Moving, readonly logits?: boolean }): Promise<NamedTensors<Float32Array>> {
    const shapes = adapters.map(({ spec, sites, share }) => [spec, sites.map(({ name }) => name), share])
    return await this.#engine.run({
      key: JSON.stringify(['back-propagation', moving, logits, [...weights.keys()], shapes]),
      step: moving === undefined
        ? this.#predictStep(inputs, weights, adapters, logits)
        : this.#gradientStep(inputs, weights, adapters, moving),
      inputs: new Map<string, TensorData>([
        ...inputs.tensors,
        ...prefixed('weight.', weights),
        ...adapters.flatMap(({ values }, i) => prefixed(adapterPrefix(i), values))
      ])
    })
  }

  #predictStep ({ rows }: PassInputs, weights: Adapted['weights'], adapters: Adapted['adapters'], wantsLogits: boolean): Step {
    return tensor => {
      const logits = this.#logits(tensor, movedIn(tensor, weights), adaptersIn(tensor, adapters)) // [predictions, classes]
      return { losses: lossesOf(logits, tensor, rows), ...(wantsLogits && { logits }) }
    }
  }

  #gradientStep ({ rows }: PassInputs, weights: Adapted['weights'], adapters: Adapted['adapters'], moving: Moving): Step {
    const names = moving === 'weights' ? [...weights.keys()] : [...adapters[moving].values.keys()]
    const prefix = moving === 'weights' ? 'weight.' : adapterPrefix(moving)
    return tensor => {
      let losses: tf.Tensor1D | undefined
      const { grads } = tf.valueAndGrads((...moved) => {
        const own = new Map(names.map((name, i) => [prefix + name, moved[i]]))
        const given = <T extends tf.Tensor>(name: string): T => (own.get(name) ?? tensor(name)) as T
        const logits = this.#logits(tensor, movedIn(given, weights), adaptersIn(given, adapters)) // [predictions, classes]
        losses = tf.keep(lossesOf(logits, tensor, rows)) // [rows]
        return tf.sum(losses)
      })(names.map(name => tensor(prefix + name)))
      if (losses === undefined) throw new Error('the loss was never taken')
      return { losses, ...Object.fromEntries(names.map((name, i) => [`gradient.${name}`, grads[i]])) }
    }
  }

  #logits (tensor: TensorsByName, moved: ReadonlyMap<string, tf.Tensor>, adapt: Tap): tf.Tensor2D {
    const named = <T extends tf.Tensor>(name: string): T => (moved.get(name) ?? tensor(name)) as T
    const parameters: Parameters = { tensor: named, weight: site => siteMatrix(this.network, site, named) }
    return definitionOf(this.info.task).logits(this.network, parameters, tensor, adapt)
  }
}

/** One name for each parameter of an adapter. */
export function parameterName (site: string, parameter: string): string {
  return `${site}.${parameter}`
}

function movedIn (tensor: TensorsByName, weights: Adapted['weights']): Map<string, tf.Tensor> {
  return new Map([...weights.keys()].map(name => [name, tensor(`weight.${name}`)]))
}

/** Adds every adapter's share·α·g_w(x). */
function adaptersIn (tensor: TensorsByName, adapters: Adapted['adapters']): Tap {
  return (site, x, output) => adapters.reduce((sum, { spec, sites, share }, i) => {
    if (!sites.some(({ name }) => name === site.name)) return sum
    const own = [...parameterShapes(spec, site).keys()].map(name => tensor(adapterPrefix(i) + parameterName(site.name, name)))
    return tf.add(sum, tf.mul(applyAuxiliary(spec, site, matrixInput(site, x), own), share)) // [places, out]
  }, output)
}

/** The loss of each row; their sum is that of the batch. */
function lossesOf (logits: tf.Tensor2D, tensor: TensorsByName, rows: number): tf.Tensor1D {
  const [targets, weights] = [tensor('targets'), tensor('target_weights')].map(own => tf.reshape<tf.Rank.R1>(own, [-1]))
  const losses = targets.dtype === 'int32' ? crossEntropy(logits, targets, weights) : squaredError(logits, targets, weights)
  return tf.sum(tf.reshape(losses, [rows, -1]), -1)
}

function adapterPrefix (i: number): string {
  return `adapter${i}.`
}

function prefixed (prefix: string, tensors: NamedTensors): Array<[string, TensorData]> {
  return [...tensors].map(([name, tensor]) => [prefix + name, tensor])
}

function sumOf ({ values }: FloatTensor): number {
  return values.reduce((sum, value) => sum + value, 0)
}

function rowsOf ({ shape: [all, ...rest], values }: FloatTensor, first: number, rows: number): FloatTensor {
  const size = values.length / all
  return { shape: [rows, ...rest], values: values.subarray(first * size, (first + rows) * size) }
}

function tensorNamed (outputs: NamedTensors<Float32Array>, name: string): FloatTensor {
  const tensor = outputs.get(name)
  if (tensor === undefined) throw new Error(`the step gave no ${name}`)
  return tensor
}
