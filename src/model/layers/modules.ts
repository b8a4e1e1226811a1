import * as tf from '@tensorflow/tfjs'
import { matrixInput } from '../../engine/matrix-input.js'
import type { Site } from '../../types.js'
import type { Network, Parameters, Tap } from '../network.js'

/** The modules of one pass that can be adapted, by their names, with the tap at each. */
export class Modules {
  readonly #network: Pick<Network, 'info' | 'siteWeight'>
  readonly #parameters: Parameters
  readonly #tap: Tap

  constructor (network: Pick<Network, 'info' | 'siteWeight'>, parameters: Parameters, tap: Tap) {
    this.#network = network
    this.#parameters = parameters
    this.#tap = tap
  }

  /**
   * x·W + b, W in the layout in which it is stored; of a convolution the same for each patch. Where W is stored as two
   * factors, x is multiplied by one after the other, which is less work than by W.
   *
   * @param x `[places, in]`; of a convolution `[pixels, channels]`
   * @returns `[places, out]`
   */
  linear (name: string, x: tf.Tensor2D, { bias }: { readonly bias: boolean }): tf.Tensor2D {
    const site = this.#site(name)
    const product = this.#product(name, matrixInput(site, x)) // [places, out]
    return this.#tap(site, x, bias ? tf.add<tf.Tensor2D>(product, this.#parameters.tensor(`${name}.bias`)) : product, product)
  }

  #product (name: string, x: tf.Tensor2D): tf.Tensor2D {
    const factors = this.#parameters.factors?.(name)
    if (factors !== undefined) return tf.matMul(tf.matMul(x, factors.v, false, true), factors.u, false, true) // [places, r], [places, out]
    const { layout } = this.#network.siteWeight(name)
    return tf.matMul(x, this.#parameters.weight(name), false, layout === 'out-in')
  }

  /**
   * The rows of W that tokens stand for, W in the layout in which it is stored.
   *
   * @param ids integers, `[rows, length]`
   * @returns `[rows·length, width]`
   */
  embedding (name: string, ids: tf.Tensor2D): tf.Tensor2D {
    const tokens = tf.reshape<tf.Rank.R2>(ids, [-1, 1]) // [tokens, 1]
    const rows = tf.gather(this.#parameters.weight(name), tf.reshape(ids, [-1])) // [tokens, width]
    return this.#tap(this.#site(name), tokens, rows, rows)
  }

  #site (name: string): Site {
    const site = this.#network.info.sites.find(candidate => candidate.name === name)
    if (site === undefined) throw new Error(`${name} is not in the list of sites`)
    return site
  }
}
