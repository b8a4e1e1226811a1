import * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../engine/step.js'
import type { Network, Parameters } from './network.js'

/** The name under which a step gets a site's merged weight. */
export function mergedName (site: string): string {
  return `merged.${site}`
}

/** What a network computes with in a step, to which the weights of merged sites are given beside those of θ. */
export function parametersOf (network: Network, tensor: TensorsByName, merged: { has (site: string): boolean }): Parameters {
  return { tensor, weight: site => merged.has(site) ? tensor(mergedName(site)) : siteMatrix(network, site, tensor) }
}

/** θ of a site's module as a matrix in its layout: a convolution's `[out, channels, height, width]` is one of `[out, in]`. */
export function siteMatrix (network: Network, site: string, tensor: TensorsByName): tf.Tensor2D {
  const weight = tensor(network.siteWeight(site).name)
  return weight.rank === 2 ? weight as tf.Tensor2D : tf.reshape(weight, [weight.shape[0], -1])
}
