import type * as tf from '@tensorflow/tfjs'
import { z } from 'zod'
import type { Convolution, Site } from '../../types.js'
import { ACTIVATIONS } from '../layers/activations.js'
import { halfOf, halvePixels, meanOfPixels, pixelsOf } from '../layers/images.js'
import { Modules } from '../layers/modules.js'
import type { ImageClassifier, ImageSize, NetworkInfo, Parameters, SiteWeight, Tap } from '../network.js'
import { imageConfig } from './image-config.js'

const size = z.number().int().positive()

/** What of the `config.json` of a convolutional network changes the numbers. */
export const cnnConfig = z.object({
  conv_channels: z.array(size).min(1),
  kernel_size: size.refine(kernel => kernel % 2 === 1, 'an odd number of pixels is needed, so that the image keeps its size').default(3),
  hidden_act: z.enum(Object.keys(ACTIVATIONS)).default('relu')
}).and(imageConfig).check(({ value: { conv_channels: blocks, image }, issues }) => {
  const most = Math.floor(Math.log2(Math.min(image.height, image.width)))
  if (blocks.length > most) {
    issues.push({ code: 'custom', input: blocks, path: ['conv_channels'], message: `${blocks.length} blocks halve ${image.height} by ${image.width} pixels to nothing; ${most === 0 ? 'larger images are needed' : `at most ${most} are possible`}` })
  }
})

export type CnnConfig = z.infer<typeof cnnConfig>

/** Blocks of a convolution and a pooling that halves the image, then the mean of what is left of it; our own, to be trained from a random start. */
export class CnnClassifier implements ImageClassifier {
  readonly info: NetworkInfo
  readonly weights: ReadonlyMap<string, readonly number[]>
  readonly prefix = ''
  readonly #config: CnnConfig

  constructor (config: CnnConfig) {
    const { image, labels } = config
    this.#config = config
    const sites = sitesOf(config)
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
    this.weights = new Map(sites.flatMap(({ name, inFeatures, outFeatures, convolution }) => [
      [`${name}.weight`, convolution === undefined ? [outFeatures, inFeatures] : [outFeatures, convolution.channels, ...convolution.kernel]],
      [`${name}.bias`, [outFeatures]]
    ]))
  }

  siteWeight (site: string): SiteWeight {
    return { name: `${site}.weight`, layout: 'out-in' }
  }

  logits (parameters: Parameters, pixels: tf.Tensor4D, tap: Tap): tf.Tensor2D {
    const modules = new Modules(this, parameters, tap)
    let h = pixelsOf(pixels) // [pixels, channels]
    let size: Pick<ImageSize, 'height' | 'width'> = this.#config.image
    for (const [block] of this.#config.conv_channels.entries()) {
      const output = modules.linear(`convs.${block}`, h, { bias: true }) // [pixels, out]
      h = halvePixels(ACTIVATIONS[this.#config.hidden_act](output), size) // [pixels / 4, out]
      size = halfOf(size)
    }
    return modules.linear(HEAD, meanOfPixels(h, size), { bias: true }) // [rows, labels]
  }
}

const HEAD = 'classifier'

function sitesOf ({ image, labels, conv_channels: blocks, kernel_size: kernel }: CnnConfig): Site[] {
  const sites: Site[] = []
  let seen: ImageSize = image
  for (const [block, outFeatures] of blocks.entries()) {
    const padding = (kernel - 1) / 2
    const convolution: Convolution = { ...seen, kernel: [kernel, kernel], stride: [1, 1], padding: [padding, padding] }
    sites.push({ name: `convs.${block}`, inFeatures: seen.channels * kernel * kernel, outFeatures, convolution })
    seen = { channels: outFeatures, ...halfOf(seen) }
  }
  return [...sites, { name: HEAD, inFeatures: seen.channels, outFeatures: labels.length, places: 1 }]
}
