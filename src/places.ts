/** Where the modules of a base model stand in the rows of a batch: how many places, and so how large x and ∇ĥ are. */
import type { Batch, Convolution, Site } from './types.js'

/** Tokens in a row of a batch. */
export interface Lengths {
  /** 1 where a row is no text. */
  readonly input: number
  /** 1 where what is wanted of a row is no text. */
  readonly target: number
}

/** As if each token were a row: for what does not depend on how many of them are of one row. */
export const ONCE: Lengths = { input: 1, target: 1 }

export function lengthsOf ({ tensors }: Batch): Lengths {
  const [, input = 1] = tensors.get('input_ids')?.shape ?? []
  const [, target = 1] = tensors.get('labels')?.shape ?? []
  return { input, target }
}

/**
 * What the rows of a batch take, in tokens: as often as the module stands in them that stands there most often. Padding counts;
 * the pixels of convolutions, which are many and cheap, do not.
 */
export function tokensOf (batch: Batch, sites: readonly Site[]): number {
  const lengths = lengthsOf(batch)
  return batch.rows * sites.reduce((most, site) => site.convolution === undefined ? Math.max(most, placesOf(site, lengths)) : most, 1)
}

/** How often a module stands in a row. */
export function placesOf ({ places, convolution }: Site, { input, target }: Lengths): number {
  if (convolution !== undefined) {
    const [height, width] = outputSize(convolution)
    return height * width
  }
  return places === 'target' ? target : places ?? input
}

/** `[places, in]`; of a convolution `[pixels, channels]`; of an embedding `[places, 1]`. */
export function inputShape (site: Site, rows: number, lengths: Lengths): [number, number] {
  const { convolution, embedding = false } = site
  if (convolution !== undefined) return [rows * convolution.height * convolution.width, convolution.channels]
  return [rows * placesOf(site, lengths), embedding ? 1 : site.inFeatures]
}

/** `[places, out]` */
export function outputShape (site: Site, rows: number, lengths: Lengths): [number, number] {
  return [rows * placesOf(site, lengths), site.outFeatures]
}

/** Height and width of what a convolution gives, in pixels. */
export function outputSize ({ height, width, kernel, stride, padding }: Convolution): [number, number] {
  const along = (size: number, axis: 0 | 1): number => Math.floor((size + 2 * padding[axis] - kernel[axis]) / stride[axis]) + 1
  return [along(height, 0), along(width, 1)]
}
