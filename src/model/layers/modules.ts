import * as tf from '@tensorflow/tfjs'
import type { Site } from '../../types.js'
import type { Network, Parameters, Tap } from '../network.js'

/** The linear modules of one pass, by their names, with the tap at each. */
export class Modules {
  readonly #network: Pick<Network, 'info' | 'siteWeight'>
  readonly #parameters: Parameters
  readonly #tap: Tap

  constructor (network: Pick<Network, 'info' | 'siteWeight'>, parameters: Parameters, tap: Tap) {
    this.#network = network
    this.#parameters = parameters
    this.#tap = tap
  }

  /** x·W + b, W in the layout in which it is stored. x `[tokens, in]` → `[tokens, out]` */
  linear (name: string, x: tf.Tensor2D, { bias }: { readonly bias: boolean }): tf.Tensor2D {
    const { layout } = this.#network.siteWeight(name)
    const product: tf.Tensor2D = tf.matMul(x, this.#parameters.weight(name), false, layout === 'out-in') // [tokens, out]
    return this.#tap(this.#site(name), x, bias ? tf.add<tf.Tensor2D>(product, this.#parameters.tensor(`${name}.bias`)) : product)
  }

  #site (name: string): Site {
    const site = this.#network.info.sites.find(candidate => candidate.name === name)
    if (site === undefined) throw new Error(`${name} is not in the list of sites`)
    return site
  }
}
