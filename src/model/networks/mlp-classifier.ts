import * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import type { Site } from '../../types.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { Modules } from '../layers/modules.js'
import type { ImageClassifier, NetworkInfo, Parameters, SiteWeight, Tap } from '../network.js'
import { imageConfig, type ImageSettings } from './image-config.js'

/** What of the `config.json` of a multi-layer perceptron changes the numbers. */
export const mlpConfig = z.object({
  hidden_sizes: z.array(z.number().int().positive()).min(1),
  hidden_act: z.enum(Object.keys(ACTIVATIONS)).default('relu')
}).and(imageConfig)

/** Of a linear classifier, which has no layer but the last. */
export const linearConfig = imageConfig

/** A perceptron on the values of an image in PyTorch's order, (channel, y, x); our own, to be trained from a random start. */
export class MlpClassifier implements ImageClassifier {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix = ''
  readonly #activation: string

  /** @param settings without hidden sizes for a linear classifier */
  constructor ({ image, labels, hidden_sizes: hidden = [], hidden_act: activation = 'relu' }: ImageSettings & Partial<z.infer<typeof mlpConfig>>) {
    this.#activation = activation
    const sites = sitesOf([image.channels * image.height * image.width, ...hidden, labels.length])
    this.info = {
      task: 'IMAGE_CLS',
      sites,
      output: HEAD,
      defaultSites: sites.map(({ name }) => name),
      fanInFanOut: false,
      positions: 0,
      vocabSize: 0,
      labels,
      image
    }
    this.weights = new Map(sites.flatMap(({ name, inFeatures, outFeatures }) => [[`${name}.weight`, [outFeatures, inFeatures]], [`${name}.bias`, [outFeatures]]]))
  }

  siteWeight (site: string): SiteWeight {
    return { name: `${site}.weight`, layout: 'out-in' }
  }

  logits (parameters: Parameters, pixels: tf.Tensor4D, tap: Tap): tf.Tensor2D {
    const modules = new Modules(this, parameters, tap)
    let h = tf.reshape<tf.Rank.R2>(pixels, [pixels.shape[0], -1]) // [rows, channels·height·width]
    for (const { name } of this.info.sites) {
      const output = modules.linear(name, h, { bias: true }) // [rows, out]
      h = name === HEAD ? output : ACTIVATIONS[this.#activation](output)
    }
    return h // [rows, labels]
  }
}

const HEAD = 'classifier'

/** Each layer goes from one size to the next. */
function sitesOf (sizes: readonly number[]): Site[] {
  const last = sizes.length - 2
  return sizes.slice(1).map((outFeatures, i) => ({ name: i === last ? HEAD : `layers.${i}`, inFeatures: sizes[i], outFeatures, places: 1 }))
}
