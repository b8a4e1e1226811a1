import * as tf from '@tensorflow/tfjs'
import { matrixProduct } from '../engine/matrix-product.js'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'
import { squaredNormsOfRows } from './row-norms.js'

/** g(x) = W·x, W `[out, in]`: what full fine-tuning of the site's weight would train. Zero at the start. */
export const linear: AuxiliaryDefinition = {
  shapes: ({ inFeatures, outFeatures }) => new Map([['weight', [outFeatures, inFeatures]]]),
  initial: ({ inFeatures, outFeatures }) => [tf.zeros([outFeatures, inFeatures])],
  apply: (site, x, [weight]) => matrixProduct(site, x, weight as tf.Tensor2D), // [places, out]
  squaredNorms: (site, x, gradient) => squaredNormsOfRows(site, gradient, x)
}
