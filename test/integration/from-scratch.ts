import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { drawGlyph, KINDS } from '../../scripts/glyphs/draw.js'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import { GradientLearner } from '../../src/gl/gradient-learner.js'
import { Optimizer, type OptimizerKind } from '../../src/gl/optimizer.js'
import { createSchedule } from '../../src/gl/schedule.js'
import { crossEntropy } from '../../src/model/loss.js'
import type { Network, Parameters } from '../../src/model/network.js'
import { networkOf } from '../../src/model/networks/registry.js'
import { siteMatrix } from '../../src/model/parameters.js'
import { definitionOf } from '../../src/model/tasks/tasks.js'
import { findWeights } from '../../src/model/weights.js'
import { LocalModel } from '../../src/node/host/local-model.js'
import { batchOf } from '../../src/tensor/batch.js'
import { readStored } from '../../src/tensor/stored.js'
import type { AdapterTensors, AuxiliarySpec, Batch, TensorData } from '../../src/types.js'

/** Height and width of a glyph, in pixels. */
export const SIZE = 12

const MOMENTUM = 0.9

export interface Training {
  /** Folder of the model at its random start. */
  readonly model: string
  readonly batches: readonly Batch[]
  readonly optimizer: OptimizerKind
  /** At its peak. */
  readonly rate: number
}

/** Glyphs of all classes in turn, in [−1, 1], as a batch. */
export function glyphs (count: number, random: () => number): Batch {
  const kinds = Int32Array.from({ length: count }, (_, i) => i % KINDS)
  const values = Float32Array.from([...kinds].flatMap(kind => [...drawGlyph(kind, SIZE, random)]), value => value / 127.5 - 1)
  return batchOf(new Map<string, TensorData>([['pixel_values', { shape: [count, 1, SIZE, SIZE], values }], ['labels', { shape: [count], values: kinds }]]))
}

/** By Gradient Learning alone: the base model stays as it is, and each of its modules has an auxiliary. */
export async function trainAuxiliaries ({ model: folder, batches, optimizer, rate }: Training, spec: AuxiliarySpec): Promise<AdapterTensors> {
  const model = await LocalModel.open(folder, {}, () => {})
  const { sites } = model.info
  const learner = new GradientLearner({
    auxiliaries: sites.map(site => new Auxiliary(spec, site, { seed: 1 })),
    optimizer: new Optimizer(optimizer, 0),
    schedule: createSchedule({ kind: 'cosine', rate, fits: batches.length }),
    interval: 1
  })
  try {
    for (const batch of batches) {
      const beside = [{ spec, tensors: await learner.adapter() }]
      const [{ data }] = await model.pass({ parts: [{ batch, beside }], sites: sites.map(({ name }) => name), merged: null })
      for (const [site, own] of data) learner.gather(site, own)
      learner.endBatch()
      await learner.fit()
    }
    return await learner.adapter()
  } finally {
    learner.dispose()
    await model.dispose()
  }
}

/** The share of images that a model names rightly, with auxiliaries beside it. */
export async function accuracyBeside (folder: string, batch: Batch, spec: AuxiliarySpec, adapter: AdapterTensors): Promise<number> {
  const model = await LocalModel.open(folder, {}, () => {})
  try {
    const [{ logits }] = await model.pass({ parts: [{ batch, beside: [{ spec, tensors: adapter }] }], sites: [], merged: null, logits: true })
    return accuracyOf(logits!.values, batch)
  } finally {
    await model.dispose()
  }
}

/** Ordinary training: TensorFlow.js differentiates the whole model by its own weights, and its own optimiser moves them. */
export class BackPropagation {
  readonly #network: Network
  readonly #weights: ReadonlyMap<string, tf.Variable>

  private constructor (network: Network, weights: ReadonlyMap<string, tf.Variable>) {
    this.#network = network
    this.#weights = weights
  }

  static async open (folder: string): Promise<BackPropagation> {
    const { network } = networkOf(JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')), folder)
    const weights = new Map<string, tf.Variable>()
    for (const [name, stored] of await findWeights(folder, network)) {
      const { values, shape } = await readStored(name, stored)
      weights.set(name, tf.variable(tf.tensor(values, [...shape])))
    }
    return new BackPropagation(network, weights)
  }

  /** @param trained which weights move, by name */
  train ({ batches, optimizer: kind, rate }: Training, trained: (name: string) => boolean): void {
    const variables = [...this.#weights].filter(([name]) => trained(name)).map(([, variable]) => variable)
    const schedule = createSchedule({ kind: 'cosine', rate, fits: batches.length })
    const sgd = tf.train.momentum(rate, MOMENTUM, true)
    const adam = tf.train.adam(rate, 0.9, 0.999, 1e-8) as tf.AdamOptimizer & { learningRate: number }
    const optimizer = kind === 'sgd' ? sgd : adam
    for (const [i, batch] of batches.entries()) {
      tf.tidy(() => {
        const { values, weights } = definitionOf('IMAGE_CLS').targets(batch, this.#network.info)
        const [targets, shares] = [tf.tensor1d(values, 'int32'), tf.tensor1d(weights)]
        const { grads } = tf.variableGrads(() => tf.sum(crossEntropy(this.#logits(batch), targets, shares)), variables)
        sgd.setLearningRate(schedule(i))
        adam.learningRate = schedule(i)
        optimizer.applyGradients(Object.entries(grads).map(([name, tensor]) => ({ name, tensor })))
      })
    }
    sgd.dispose()
    adam.dispose()
  }

  async accuracy (batch: Batch): Promise<number> {
    const logits = tf.tidy(() => this.#logits(batch))
    try {
      return accuracyOf(await logits.data<'float32'>(), batch)
    } finally {
      logits.dispose()
    }
  }

  async weight (name: string): Promise<Float32Array> {
    return await this.#weights.get(name)!.data<'float32'>()
  }

  dispose (): void {
    tf.dispose([...this.#weights.values()])
  }

  #logits (batch: Batch): tf.Tensor2D {
    const tensor = <T extends tf.Tensor>(name: string): T => this.#weights.get(name) as tf.Tensor as T
    const parameters: Parameters = { tensor, weight: site => siteMatrix(this.#network, site, tensor) }
    const pixels = batch.tensors.get('pixel_values')!
    const field = <T extends tf.Tensor>(): T => tf.tensor(pixels.values, [...pixels.shape]) as T
    return definitionOf('IMAGE_CLS').logits(this.#network, parameters, field, (_, __, output) => output)
  }
}

function accuracyOf (logits: Float32Array, { rows, tensors }: Batch): number {
  const labels = tensors.get('labels')!.values
  const classes = logits.length / rows
  const right = Array.from({ length: rows }, (_, row) => {
    const own = logits.subarray(row * classes, (row + 1) * classes)
    return own.indexOf(Math.max(...own)) === labels[row]
  })
  return right.filter(Boolean).length / rows
}
