import * as tf from '@tensorflow/tfjs'
import type { Engine } from '../engine/engine.js'
import type { FloatTensor } from '../types.js'
import { changedWeight, changeInputs, type WeightChange } from './merge.js'
import type { Network } from './network.js'
import { siteMatrix } from './parameters.js'

/**
 * Norms of the rows of W + scale·ΔW `[out, in]` at each site, W that of θ, whatever is merged: DoRA's column-wise norm (arXiv
 * 2402.09353, equation 5, where weights are `[in, out]`).
 *
 * @param changes by full module name; null for W as it is
 * @returns `[out]` each
 */
export async function weightNorms (engine: Engine, network: Network, changes: ReadonlyMap<string, WeightChange | null>): Promise<ReadonlyMap<string, FloatTensor>> {
  if (changes.size === 0) return new Map()
  const some = new Map([...changes].filter((entry): entry is [string, WeightChange] => entry[1] !== null))
  return await engine.run({
    key: JSON.stringify(['row norms', [...changes].map(([site, change]) => [site, change?.scale ?? null])]),
    step: tensor => Object.fromEntries([...changes].map(([site, change]) => {
      const weight = change === null ? siteMatrix(network, site, tensor) : changedWeight(network, site, change, tensor)
      return [site, tf.sqrt(tf.sum(tf.square(weight), network.siteWeight(site).layout === 'in-out' ? 0 : 1))] // [out]
    })),
    inputs: changeInputs(some)
  })
}
