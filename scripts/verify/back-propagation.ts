import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import type { Network, Parameters } from '../../src/model/network.js'
import { networkOf } from '../../src/model/networks/registry.js'
import { siteMatrix } from '../../src/model/parameters.js'
import type { Targets } from '../../src/model/tasks/task.js'
import { definitionOf } from '../../src/model/tasks/tasks.js'
import { findWeights } from '../../src/model/weights.js'
import { readStored } from '../../src/tensor/stored.js'
import type { AdapterTensors, Batch, FloatTensor, NamedTensors, Site, TensorData } from '../../src/types.js'
import { alphaAt, formulaOf, matrixRows, type Module } from './formulas.js'
import { distanceToKink } from './kinks.js'
import type { Share } from './share.js'

/** What a site's output gets: Δh `[places, out]`; undefined for nothing. */
type Change = (site: Site, x: tf.Tensor2D, module: Module) => tf.Tensor2D | undefined

/**
 * Ordinary back-propagation, to compare with: TensorFlow.js, on its plain backend, differentiates the loss of the whole
 * adapted model with respect to the auxiliaries' own parameters. Nothing of Gradient Learning is used: no pairs, no probes, no
 * merging, one batch at a time; the auxiliaries' forward pass and the loss are written out here.
 */
export class BackPropagation {
  readonly #network: Network
  readonly #weights: NamedTensors

  private constructor (network: Network, weights: NamedTensors) {
    this.#network = network
    this.#weights = weights
  }

  static async open (folder: string): Promise<BackPropagation> {
    const path = join(folder, 'config.json')
    const { network } = networkOf(JSON.parse(await readFile(path, 'utf8')), path)
    const weights = new Map<string, TensorData>()
    for (const [name, stored] of await findWeights(folder, network)) weights.set(name, await readStored(name, stored))
    return new BackPropagation(network, weights)
  }

  /** Gradients of the loss with respect to the parameters of one of the auxiliaries, in their shapes. */
  async parameterGradients (batch: Batch, auxiliaries: readonly Share[], fitted: Share): Promise<AdapterTensors> {
    const names = [...fitted.adapter].flatMap(([site, own]) => [...own.keys()].map(parameter => [site, parameter] as const))
    const gradients = await onPlainBackend(() => {
      const loss = this.#lossOf(batch)
      const others = constants(auxiliaries)
      const variables = names.map(([site, parameter]) => tensorOf(fitted.adapter.get(site)?.get(parameter)))
      const lossOf = (...own: tf.Tensor[]): tf.Scalar => {
        const moved = new Map(names.map(([site, parameter], i) => [`${site}.${parameter}`, own[i]]))
        return loss(sumOfShares(auxiliaries, (auxiliary, name) => auxiliary === fitted ? moved.get(name) : others.get(auxiliary)?.get(name)))
      }
      return tf.grads(lossOf)(variables)
    })
    return new Map([...fitted.adapter.keys()].map(site => [site, new Map(names.flatMap(([own, parameter], i) => own === site ? [[parameter, gradients[i]]] : []))]))
  }

  /**
   * The gradient of the loss with respect to Δh itself at one site, the auxiliaries of all others as they are: a tensor that
   * stands in place of Δh, with its values, is what is differentiated for.
   */
  async changeGradient (batch: Batch, auxiliaries: readonly Share[], place: string): Promise<FloatTensor> {
    const [gradient] = await onPlainBackend(() => {
      const loss = this.#lossOf(batch)
      const all = constants(auxiliaries)
      const change = sumOfShares(auxiliaries, (auxiliary, name) => all.get(auxiliary)?.get(name))
      let met: tf.Tensor2D | undefined
      loss((site, x, module) => {
        const own = change(site, x, module)
        if (site.name === place) met = own
        return own
      })
      if (met === undefined) throw new Error(`there is no auxiliary at ${place}, or the network never came to it`)
      return tf.grads((own: tf.Tensor) => loss((site, x, module) => site.name === place ? own as tf.Tensor2D : change(site, x, module)))([met])
    })
    return gradient
  }

  /** How near the forward pass of a batch comes to where its gradient jumps, see `distanceToKink`. */
  async distanceToKink (batch: Batch, auxiliaries: readonly Share[]): Promise<number> {
    const [{ values: [distance] }] = await onPlainBackend(() => {
      const all = constants(auxiliaries)
      const loss = this.#lossOf(batch)
      return [tf.scalar(distanceToKink(() => { loss(sumOfShares(auxiliaries, (auxiliary, name) => all.get(auxiliary)?.get(name))) }))]
    })
    return distance
  }

  /** The loss of a batch as a function of what the sites' outputs get. Weights and fields are there before it, so that they outlive its forward pass. */
  #lossOf (batch: Batch): (change: Change) => tf.Scalar {
    const network = this.#network
    const { info } = network
    const definition = definitionOf(info.task)
    const fields = [...definition.fields(batch, network)].map(([name, { values, axes }]) =>
      [name, tensorOf({ shape: [batch.rows, ...(typeof axes === 'string' ? [values.length / batch.rows] : axes)], values })] as const)
    const known = new Map([...fields, ...[...this.#weights].map(([name, weight]) => [name, tensorOf(weight)] as const)])
    const tensor = <T extends tf.Tensor>(name: string): T => known.get(name) as T
    const parameters: Parameters = { tensor, weight: site => siteMatrix(network, site, tensor) }
    const targets = definition.targets(batch, info)
    return change => meanLoss(definition.logits(network, parameters, tensor, (site, x, output) => {
      const weight = siteMatrix(network, site.name, tensor)
      const own = change(site, x, { output, weight: network.siteWeight(site.name).layout === 'in-out' ? tf.transpose(weight) : weight }) // [places, out]
      return own === undefined ? output : tf.add(output, own)
    }), targets)
  }
}

/** Cross-entropy in nats, or where a number is wanted its squared error, times each prediction's weight. */
function meanLoss (logits: tf.Tensor2D, { values, weights }: Targets): tf.Scalar {
  if (values instanceof Float32Array) return tf.sum<tf.Scalar>(tf.mul(tf.square(tf.sub(tf.reshape(logits, [-1]), values)), weights))
  const wanted = tf.oneHot(tf.tensor1d(values, 'int32'), logits.shape[1]) // [predictions, classes]
  const logLikelihood = tf.sum(tf.mul(tf.logSoftmax(logits), wanted), -1) // [predictions]
  return tf.sum<tf.Scalar>(tf.mul(logLikelihood, tf.neg(weights)))
}

/**
 * Σ share·Δh of all auxiliaries at a site.
 *
 * @param parameterOf by auxiliary, and the names of site and parameter
 */
function sumOfShares (auxiliaries: readonly Share[], parameterOf: (auxiliary: Share, name: string) => tf.Tensor | undefined): Change {
  return (site, x, module) => {
    const { name } = site
    const rows = matrixRows(site, x) // [places, in]
    const changes = auxiliaries.filter(({ adapter }) => adapter.has(name)).map(auxiliary => {
      const { spec, shareAt } = auxiliary
      const change = formulaOf(spec.kind)({
        x: rows,
        ...module,
        alpha: alphaAt(spec, name),
        parameter: <T extends tf.Tensor>(parameter: string) => parameterOf(auxiliary, `${name}.${parameter}`) as T
      })
      return tf.mul<tf.Tensor2D>(change, shareAt(name))
    })
    return changes.length === 0 ? undefined : tf.addN(changes)
  }
}

/** By auxiliary, and by site and parameter. */
function constants (auxiliaries: readonly Share[]): ReadonlyMap<Share, ReadonlyMap<string, tf.Tensor>> {
  return new Map(auxiliaries.map(auxiliary => [auxiliary, new Map([...auxiliary.adapter].flatMap(([site, own]) =>
    [...own].map(([parameter, tensor]) => [`${site}.${parameter}`, tensorOf(tensor)] as const)))]))
}

function tensorOf (tensor: TensorData | undefined): tf.Tensor {
  if (tensor === undefined) throw new Error('a tensor is missing that the reference is made of')
  const { shape, values } = tensor
  return tf.tensor(values.slice(), [...shape], values instanceof Int32Array ? 'int32' : 'float32')
}

/** Computes on TensorFlow.js's plain backend, and goes back to the one that runs. */
async function onPlainBackend (compute: () => tf.Tensor[]): Promise<FloatTensor[]> {
  const running = tf.getBackend()
  await tf.setBackend('cpu')
  const tensors = tf.tidy(compute)
  try {
    return await Promise.all(tensors.map(async tensor => ({ shape: tensor.shape, values: await tensor.data<'float32'>() })))
  } finally {
    tf.dispose(tensors)
    await tf.setBackend(running)
  }
}
