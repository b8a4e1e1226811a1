import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import { Gpt2, gpt2Config } from '../../src/model/networks/gpt2.js'
import { crossEntropy } from '../../src/model/loss.js'
import type { Parameters, Tap } from '../../src/model/network.js'
import { selectSites } from '../../src/model/sites.js'
import { definitionOf } from '../../src/model/tasks/tasks.js'
import { findWeights } from '../../src/model/weights.js'
import { readStored } from '../../src/tensor/stored.js'
import type { AuxiliarySpec, Batch } from '../../src/types.js'
import { LAYERS } from '../gl/layers.js'
import { shapeAt } from '../merge/reference.js'

export interface BackPropagationOptions {
  readonly model: string
  readonly auxiliary: AuxiliarySpec
  readonly interval: number
  readonly rate: number
  readonly seed: number
}

/**
 * Ordinary fine-tuning in one process: TensorFlow.js differentiates the whole adapted model with respect to the
 * adapter's weights, and its own optimiser (SGD with Nesterov's momentum) moves them. Nothing of Gradient Learning is
 * used but the adapter's start.
 *
 * @returns the loss of each batch, before what was learned from it
 */
export async function trainByBackPropagation (batches: readonly Batch[], options: BackPropagationOptions): Promise<number[]> {
  const { model, auxiliary, interval, rate, seed } = options
  const config = gpt2Config.parse(JSON.parse(await readFile(join(model, 'config.json'), 'utf8')))
  const network = new Gpt2(config)
  const definition = definitionOf(network.info.task)
  const frozen = new Map<string, tf.Tensor>()
  for (const [name, stored] of await findWeights(model, network)) {
    const { values, shape } = await readStored(name, stored)
    frozen.set(name, tf.tensor(values, [...shape]))
  }
  const tensor = <T extends tf.Tensor>(name: string): T => frozen.get(name) as T
  const parameters: Parameters = { tensor, weight: site => tensor(network.siteWeight(site).name) }
  const sites = selectSites(network.info, network.info.defaultSites)
  const weights = new Map(sites.map(site => {
    const norm = { shape: [site.outFeatures], values: normOf(parameters.weight(site.name)) }
    return [site.name, [...new Auxiliary(auxiliary, site, { seed, norm }).parameters.values()]]
  }))
  const optimizer = tf.train.momentum(rate, 0.9, true)

  const adapt: Tap = (site, x, output, product) => {
    const own = weights.get(site.name)
    if (own === undefined) return output
    const { scale } = shapeAt(auxiliary, site.name)
    const [first, ...others] = own as tf.Tensor[]
    if (auxiliary.kind === 'ia3') return tf.add(output, tf.mul(tf.mul(output, tf.sub(tf.reshape(first, [-1]), 1)), scale))
    if (auxiliary.kind === 'dora') {
      const [second, magnitude] = others as tf.Tensor2D[]
      const changed: tf.Tensor2D = tf.add(parameters.weight(site.name), tf.mul(tf.matMul(first, second, true, true), scale)) // [in, out]
      return tf.add(tf.sub(output, product), tf.mul(tf.matMul(x, changed), tf.div(magnitude, tf.tensor1d(normOf(changed))))) // its bias as it is
    }
    const inner: tf.Tensor2D = tf.matMul(x, first, false, true)
    return tf.add(output, tf.mul(LAYERS[auxiliary.kind](inner, others), scale))
  }
  const lossOf = (batch: Batch): () => tf.Scalar => {
    const targets = definition.targets(batch, network.info)
    const [ids, shares] = [tf.tensor1d(targets.values, 'int32'), tf.tensor1d(targets.weights)]
    const fields = new Map([...definition.fields(batch, network)].map(([name, { values }]) =>
      [name, tf.tensor2d(values, [batch.rows, values.length / batch.rows], values instanceof Int32Array ? 'int32' : 'float32')]))
    const field = <T extends tf.Tensor>(name: string): T => fields.get(name) as tf.Tensor as T
    return () => tf.sum(crossEntropy(definition.logits(network, parameters, field, adapt), ids, shares))
  }

  const losses: number[] = []
  const variables = [...weights.values()].flat()
  let sums: tf.NamedTensorMap = {}
  for (const [i, batch] of batches.entries()) {
    const { value, grads } = tf.variableGrads(lossOf(batch), variables)
    losses.push((await value.data())[0])
    sums = Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, name in sums ? tf.add(sums[name], grad) : grad]))
    if ((i + 1) % interval === 0 || i + 1 === batches.length) {
      optimizer.applyGradients(Object.entries(sums).map(([name, tensor]) => ({ name, tensor })))
      sums = {}
    }
  }
  tf.dispose([...frozen.values()])
  return losses
}

/** Of the columns of a weight `[in, out]`, as values, through which nothing is differentiated. */
function normOf (weight: tf.Tensor2D): Float32Array {
  return tf.tidy(() => tf.sqrt(tf.sum(tf.square(weight), 0)).dataSync<'float32'>().slice())
}
