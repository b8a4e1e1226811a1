import * as tf from '@tensorflow/tfjs'
import { gradientOfRows, gramOfRows } from '../engine/matrix-product.js'
import type { Site } from '../types.js'
import type { AuxiliaryDefinition } from './auxiliary-definition.js'
import { squaredNorm } from './squared-norm.js'

/** What of a site says what its matrix multiplies. */
type MatrixSite = Pick<Site, 'inFeatures' | 'embedding'>

/** Floats that are made at once for norms, in rows of the batch: 16 MiB. */
const FLOATS_AT_ONCE = 1 << 22

/**
 * ‖yᵀx‖² of each row: the squared norm of the gradient that the row gives a matrix. It is ⟨x·xᵀ, y·yᵀ⟩ (Goodfellow 2015,
 * arXiv 1510.01799; Li et al. 2022, arXiv 2110.05679, section 4), so that no gradient need be formed; where the places of a
 * row are so many that the two products cost more than the gradient, it is formed, of as few rows at once as fit.
 *
 * @param y `[rows, places, n]`
 * @param x `[rows·places, in]`; of an embedding integers, `[rows·places, 1]`
 * @returns `[rows]`
 */
export function squaredNormsOfRows (site: MatrixSite, y: tf.Tensor3D, x: tf.Tensor2D): tf.Tensor1D {
  const [rows, places, n] = y.shape
  const { inFeatures } = site
  const byPlaces = places * (inFeatures + n) <= inFeatures * n
  const atOnce = Math.max(1, Math.floor(FLOATS_AT_ONCE / (byPlaces ? 2 * places * places : inFeatures * n)))
  const parts: tf.Tensor1D[] = []
  for (let row = 0; row < rows; row += atOnce) {
    parts.push(tf.tidy(() => {
      const count = Math.min(atOnce, rows - row)
      const ownY = tf.slice(y, [row, 0, 0], [count, places, n])
      const ownX = tf.slice(x, [row * places, 0], [count * places, x.shape[1]])
      if (!byPlaces) return sumOfRows(tf.square<tf.Tensor3D>(gradientOfRows(site, ownY, ownX)))
      const products = tf.mul<tf.Tensor3D>(gramOfRows(site, ownX, count), tf.matMul(ownY, ownY, false, true)) // [rows, places, places]
      return tf.relu(sumOfRows(products)) // rounding may make it less than 0
    }))
  }
  return tf.concat(parts)
}

/** ‖Σ y‖² of each row, over its places: the same of a bias. */
export function squaredNormsOfSums (y: tf.Tensor3D): tf.Tensor1D {
  return tf.sum(tf.square(tf.sum(y, 1)), -1)
}

/** The same of all parameters of any auxiliary, by a backward pass of one row after the other. */
export function squaredNormsRowByRow ({ apply }: Pick<AuxiliaryDefinition, 'apply'>): NonNullable<AuxiliaryDefinition['squaredNorms']> {
  return (site, x, gradient, parameters, seen) => {
    const [rows, places, outFeatures] = gradient.shape
    return tf.stack(Array.from({ length: rows }, (_, row) => tf.tidy(() => {
      const ownX = tf.slice(x, [row * places, 0], [places, x.shape[1]])
      const ownGradient = tf.reshape<tf.Rank.R2>(tf.slice(gradient, [row, 0, 0], [1, places, outFeatures]), [places, outFeatures])
      const output = seen.output && tf.slice(seen.output, [row * places, 0], [places, outFeatures])
      const grads = tf.grads((...w) => apply(site, ownX, w, { ...seen, ...(output && { output }) }))([...parameters], ownGradient)
      return tf.addN(grads.map(squaredNorm))
    }))) as tf.Tensor1D
  }
}

/** `[rows, n, m]` → `[rows]`, one axis after the other, see `squaredNorm`. */
function sumOfRows (tensor: tf.Tensor3D): tf.Tensor1D {
  return tf.sum(tf.sum(tensor, -1), -1)
}
