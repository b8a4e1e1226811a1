import * as tf from '@tensorflow/tfjs'
import { rankAt } from '../../src/auxiliary-spec.js'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import type { AuxiliarySpec, AuxiliaryTensors, FloatTensor, Site, SiteFactors, SitePair } from '../../src/types.js'

/** J_wᵀ∇ĥ by automatic differentiation of the auxiliary. */
export function differentiatedFactors (spec: AuxiliarySpec, site: Site, tensors: AuxiliaryTensors, pair: SitePair): SiteFactors {
  const auxiliary = new Auxiliary({ ...spec, alphas: { [site.name]: rankAt(spec, site.name) }, rankStabilised: false }, site, { tensors }) // α is 1
  const [x, gradient] = [pair.x, pair.gradient].map(({ shape, values }) => tf.tensor2d(values, shape as [number, number]))
  const gradients = auxiliary.gradients(x, gradient)
  const factors = new Map([...gradients].map(([name, tensor]) => [name, tensorAtRest(tensor)]))
  tf.dispose([x, gradient, ...gradients.values()])
  auxiliary.dispose()
  return { factors }
}

export function tensorAtRest (tensor: tf.Tensor): FloatTensor {
  return { shape: tensor.shape, values: tensor.dataSync<'float32'>().slice() }
}
