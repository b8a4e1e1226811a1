import * as tf from '@tensorflow/tfjs'
import { matrixProduct } from '../engine/matrix-product.js'
import { InvalidOptionError, InvalidTensorError } from '../errors.js'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'
import { lowRank } from './low-rank.js'

const MAGNITUDE = 'lora_magnitude_vector'

/**
 * DoRA (arXiv 2402.09353, equation 5): ĥ = m ⊙ (W + αBA)x / n + bias with n = ‖W + αBA‖ by rows of it, which is held to be constant in
 * the gradient (section 4.3). So g = (m/n − 1) ⊙ Wx + (m/n) ⊙ αBAx, with its α within. A and B start as low-rank ones do, and
 * m `[out]` as ‖W‖.
 */
export const dora: AuxiliaryDefinition = {
  shapes: (site, rank) => {
    const { name, outFeatures, convolution, embedding = false } = site
    if (convolution !== undefined || embedding) {
      throw new InvalidOptionError(`${name} is ${embedding ? 'an embedding' : 'a convolution'}, there is DoRA of linear modules alone; leave it out, or use low-rank auxiliaries`)
    }
    return new Map([...lowRank.shapes(site, rank), [MAGNITUDE, [outFeatures]]])
  },
  initial: (site, rank, seed, norm) => {
    if (norm?.values.length !== site.outFeatures) throw new InvalidOptionError(`${site.name}: DoRA starts from the norms of the ${site.outFeatures} rows of the module's weight, which only a host of the base model knows`)
    return [...lowRank.initial(site, rank, seed), tf.tensor1d(norm.values.slice())]
  },
  apply: (site, x, parameters, { scale, output, norm }) => {
    if (output === undefined || norm === undefined) throw new InvalidTensorError(`${site.name}: DoRA needs the module's own product and the norms of its rows`)
    const [a, b, m] = parameters as [tf.Tensor2D, tf.Tensor2D, tf.Tensor1D]
    const ratio = tf.div(m, norm) // [out]
    const inner = tf.mul(tf.matMul(matrixProduct(site, x, a), b, false, true), scale) // [places, out]
    return tf.add(tf.mul(output, tf.sub(ratio, 1)), tf.mul(inner, ratio)) // [places, out]
  }
}
