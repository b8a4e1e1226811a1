import * as tf from '@tensorflow/tfjs'
import type { TensorsByName } from '../engine/step.js'
import { factorNames } from './factored.js'
import type { Network, Parameters } from './network.js'

/** The name under which a step gets a site's merged weight. */
export function mergedName (site: string): string {
  return `merged.${site}`
}

/** What a network computes with in a step, to which the weights of merged sites are given beside those of θ. */
export function parametersOf (network: Network, tensor: TensorsByName, merged: { has (site: string): boolean }): Parameters {
  return {
    tensor,
    weight: site => merged.has(site) ? tensor(mergedName(site)) : siteMatrix(network, site, tensor),
    factors: site => merged.has(site) ? undefined : factorsOf(network, site, tensor)
  }
}

/** θ of a site's module as a matrix in its layout: a convolution's `[out, channels, height, width]` is one of `[out, in]`. */
export function siteMatrix (network: Network, site: string, tensor: TensorsByName): tf.Tensor2D {
  const { name, layout } = network.siteWeight(site)
  const factors = factorsOf(network, site, tensor)
  if (factors !== undefined) return layout === 'in-out' ? tf.matMul(factors.v, factors.u, true, true) : tf.matMul(factors.u, factors.v)
  const weight = tensor(name)
  return weight.rank === 2 ? weight as tf.Tensor2D : tf.reshape(weight, [weight.shape[0], -1])
}

function factorsOf ({ ranks }: Network, site: string, tensor: TensorsByName): ReturnType<NonNullable<Parameters['factors']>> {
  const { u, v } = factorNames(site)
  return ranks?.has(site) === true ? { u: tensor(u), v: tensor(v) } : undefined
}
