import * as tf from '@tensorflow/tfjs'
import { rankAt } from '../auxiliary-spec.js'
import { matrixInput } from '../engine/matrix-input.js'
import { gradientOfRows, productOfRows } from '../engine/matrix-product.js'
import type { AdapterTensors, AuxiliarySpec, FloatTensor, NamedTensors, Site, SiteFactors } from '../types.js'

/** Neighbouring rows of one pass, and the auxiliary that their trainer fits. */
export interface FittedRows {
  readonly rows: number
  /** Null where its factors' gradients are not wanted. */
  readonly fitted: { readonly spec: AuxiliarySpec, readonly adapter: AdapterTensors } | null
}

/** What the pairs (x, ∇ĥ) of each row do to the factors of its own trainer, as one function of tensors. */
export interface FactorGradients {
  readonly inputs: NamedTensors<Float32Array>
  /**
   * x and ∇ĥ, see `SitePair` → `A` `[rows, r, in]` and `B`, transposed, `[rows, r, out]`; zero
   * where nothing is wanted. Pure.
   */
  readonly apply: (site: Site, x: tf.Tensor2D, gradient: tf.Tensor2D, tensor: (name: string) => tf.Tensor3D) => Record<'A' | 'B', tf.Tensor3D>
}

/** Ranks are filled up to a multiple of this, so that few differ. */
const RANK_STEP = 8

/** Whether an auxiliary is fitted from what the pairs do to its factors as well as from the pairs. */
export function hasFactors ({ kind }: AuxiliarySpec): boolean {
  return kind === 'low-rank'
}

/**
 * For ĥ = f(x) + α·B·A·x: J_wᵀ∇ĥ = Bᵀ·(∇ĥᵀx) for A and (∇ĥᵀx)·Aᵀ for B, formed by way of ∇ĥB and xAᵀ `[tokens, r]`, so
 * that it costs as little as the auxiliary's own pass. Each row by itself: rows of many owners are one product, of which
 * no part is in vain, and what is compiled does not depend on whose they are.
 *
 * @param blocks all rows of the pass, in order; ranks may differ, and all of a pass count, also those of blocks without rows
 */
export function factorGradients (blocks: readonly FittedRows[], sites: readonly Site[]): FactorGradients {
  const owners = blocks.flatMap(({ rows, fitted }) => Array.from({ length: rows }, () => fitted?.adapter)) // of each row
  const rows = owners.length
  const ranks = blocks.flatMap(({ fitted }) => fitted === null ? [] : sites.map(({ name }) => rankAt(fitted.spec, name)))
  const rank = Math.ceil(Math.max(...ranks) / RANK_STEP) * RANK_STEP
  const inputs = new Map<string, FloatTensor>()
  for (const { name, inFeatures, outFeatures } of sites) {
    const a = new Float32Array(rows * rank * inFeatures)
    const b = new Float32Array(rows * outFeatures * rank)
    for (const [row, adapter] of owners.entries()) {
      a.set(adapter?.get(name)?.get('lora_A.weight')?.values ?? [], row * rank * inFeatures)
      setRows(b, row * outFeatures * rank, rank, adapter?.get(name)?.get('lora_B.weight'))
    }
    inputs.set(`${name}|A`, { shape: [rows, rank, inFeatures], values: a })
    inputs.set(`${name}|B`, { shape: [rows, outFeatures, rank], values: b })
  }
  return {
    inputs,
    apply: (site, x, gradient, tensor) => {
      const { name, outFeatures } = site
      const input = matrixInput(site, x) // [rows·places, in]
      const gradients = tf.reshape<tf.Rank.R3>(gradient, [rows, -1, outFeatures]) // [rows, places, out]
      const toA: tf.Tensor3D = tf.matMul(gradients, tensor(`${name}|B`)) // [rows, places, r]
      const toB = productOfRows(site, input, tensor(`${name}|A`)) // [rows, places, r]
      return { A: gradientOfRows(site, toA, input), B: tf.matMul(toB, gradients, true) } // [rows, r, in], [rows, r, out]
    }
  }
}

/** The gradients of one owner's factors at one site, from those of all of its rows as `apply` gives them. */
export function sumOfRows (spec: AuxiliarySpec, site: string, a: FloatTensor, b: FloatTensor): SiteFactors {
  const rank = rankAt(spec, site)
  const [inFeatures, outFeatures] = [a.shape[2], b.shape[2]]
  const transposed = sumOf(b, rank) // [r, out]
  const values = new Float32Array(outFeatures * rank)
  for (let o = 0; o < outFeatures; o++) {
    for (let r = 0; r < rank; r++) values[o * rank + r] = transposed[r * outFeatures + o]
  }
  return {
    factors: new Map([
      ['lora_A.weight', { shape: [rank, inFeatures], values: sumOf(a, rank) }],
      ['lora_B.weight', { shape: [outFeatures, rank], values }]
    ])
  }
}

/** `[rows, R, features]` → `[rank, features]`, what filled the rank up left out. */
function sumOf ({ shape: [rows, filled, features], values }: FloatTensor, rank: number): Float32Array {
  const sum = values.slice(0, rank * features)
  for (let row = 1; row < rows; row++) {
    const begin = row * filled * features
    for (let i = 0; i < sum.length; i++) sum[i] += values[begin + i]
  }
  return sum
}

/** Rows of a matrix into longer rows. */
function setRows (target: Float32Array, begin: number, width: number, tensor: FloatTensor | undefined): void {
  const { shape: [count, own], values } = tensor ?? { shape: [0, 0], values: new Float32Array() }
  if (own === width) {
    target.set(values, begin)
    return
  }
  for (let i = 0; i < count; i++) target.set(values.subarray(i * own, (i + 1) * own), begin + i * width)
}
