import * as tf from '@tensorflow/tfjs'
import { isMergeable } from '../auxiliary-spec.js'
import { matrixInput } from '../engine/matrix-input.js'
import { gradientOfRows } from '../engine/matrix-product.js'
import type { AuxiliarySpec, NamedTensors, Site } from '../types.js'

/** Neighbouring rows of one pass. */
export interface SummedRows {
  readonly rows: number
  /** Whose product they are part of, by a number of its own; null where none is wanted. */
  readonly owner: number | null
}

/** Σ∇ĥ·xᵀ over the rows of each owner, as one function of tensors. */
export interface Products {
  readonly inputs: NamedTensors<Float32Array>
  /** x and ∇ĥ, see `SitePair` → G `[out, in]` by `productName`; zero of an owner without rows. Pure. */
  readonly apply: (site: Site, x: tf.Tensor2D, gradient: tf.Tensor2D, tensor: (name: string) => tf.Tensor3D) => Record<string, tf.Tensor2D>
}

/** Whether an auxiliary is fitted from Σ∇ĥ·xᵀ as well as from the pairs: where g is linear in x, they do nothing else to it. */
export function hasProduct (spec: AuxiliarySpec): boolean {
  return isMergeable(spec)
}

/**
 * For ĥ = f(x) + α·M(w)·x the gradient of a fit is that of α·⟨M(w), G⟩ with G = Σ_t ∇ĥ_t·x_tᵀ: (x, ∇ĥ) come to w by way of G alone.
 * Each owner's rows are the only ones in its sum.
 *
 * @param blocks all rows of the pass, in order; owners are those of all blocks, also of such without rows
 */
export function productsOfOwners (blocks: readonly SummedRows[]): Products {
  const rows = blocks.reduce((sum, block) => sum + block.rows, 0)
  const owners = [...new Set(blocks.flatMap(({ owner }) => owner ?? []))]
  const ownerOf = blocks.flatMap(({ rows: own, owner }) => Array.from({ length: own }, () => owner)) // of each row
  return {
    inputs: new Map(owners.map(owner =>
      [productName(owner), { shape: [rows, 1, 1], values: Float32Array.from(ownerOf, of => of === owner ? 1 : 0) }])),
    apply: (site, x, gradient, tensor) => {
      const { inFeatures, outFeatures } = site
      const input = matrixInput(site, x) // [rows·places, in]
      const gradients = tf.reshape<tf.Rank.R3>(gradient, [rows, -1, outFeatures]) // [rows, places, out]
      return Object.fromEntries(owners.map(productName).map(name => {
        const own = tf.reshape<tf.Rank.R3>(tf.mul(gradients, tensor(name)), [1, -1, outFeatures]) // [1, rows·places, out]
        return [name, tf.reshape<tf.Rank.R2>(gradientOfRows(site, own, input), [outFeatures, inFeatures])] // [out, in]
      }))
    }
  }
}

/** The name of an owner's product. */
export function productName (owner: number): string {
  return `G${owner}`
}

/**
 * Rows x_i and ∇ĥ_i whose Σ∇ĥ_i·x_iᵀ is G: x_i has a 1 at i and zeros elsewhere, ∇ĥ_i is column i of G. As the tokens of an embedding
 * such rows are never made.
 *
 * @param product G `[out, in]`
 */
export function asColumns ({ name, inFeatures, outFeatures }: Site, product: tf.Tensor2D): { readonly site: Site, readonly x: tf.Tensor2D, readonly gradient: tf.Tensor2D } {
  return {
    site: { name, inFeatures, outFeatures, embedding: true },
    x: tf.tensor2d(Int32Array.from({ length: inFeatures }, (_, i) => i), [inFeatures, 1], 'int32'), // [in, 1]
    gradient: tf.transpose(product) // [in, out]
  }
}

/** What the products of some sites take, in floats. */
export function productSize (sites: ReadonlyArray<Pick<Site, 'inFeatures' | 'outFeatures'>>): number {
  return sites.reduce((sum, { inFeatures, outFeatures }) => sum + inFeatures * outFeatures, 0)
}
