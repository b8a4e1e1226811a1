import { addScaled, product } from '../tensor/matrix.js'
import type { FloatTensor } from '../types.js'
import { type Factors, stackedFactors } from './stacked-factors.js'
import type { Delta } from './truncate.js'

/** ΔW of one site, and what it is scaled by. */
export type ScaledDelta = Delta & { readonly scale: number }

/**
 * Σ w_k·ΔW_k of each site that any adapter has. Factors are stacked, the weights and scales inside B: A `[ΣR_k, in]` and
 * B `[out, ΣR_k]`, so that B·A is the sum, exact but for the rounding of w_k·B_k to float32. Where a ΔW_k is a matrix the sum
 * is one, added up in float64.
 *
 * @param adapters of one shape at each site
 * @param weights w_k; they need not sum to one
 */
export function sumOfDeltas (adapters: ReadonlyArray<ReadonlyMap<string, ScaledDelta>>, weights: readonly number[]): Map<string, Delta> {
  const sites = new Set(adapters.flatMap(adapter => [...adapter.keys()]))
  return new Map([...sites].map(site => [site, sumOf(adapters.flatMap((adapter, k) => {
    const delta = adapter.get(site)
    return delta === undefined ? [] : [{ ...delta, scale: weights[k] * delta.scale }]
  }))]))
}

/** ΔW `[out, in]` as a matrix. */
export function matrixOfDelta (delta: Delta): FloatTensor {
  return 'weight' in delta ? delta.weight : product(delta.b, delta.a)
}

type ScaledFactors = Extract<ScaledDelta, Factors>

function sumOf (deltas: readonly ScaledDelta[]): Delta {
  const factors = deltas.filter((delta): delta is ScaledFactors => 'a' in delta)
  return factors.length === deltas.length ? stackedFactors(factors) : { weight: added(deltas) }
}

/** Row by row, rounded to float32 once. */
function added (deltas: readonly ScaledDelta[]): FloatTensor {
  const [first] = deltas
  const [outFeatures, inFeatures] = 'weight' in first ? first.weight.shape : [first.b.shape[0], first.a.shape[1]]
  const values = new Float32Array(outFeatures * inFeatures)
  const row = new Float64Array(inFeatures)
  for (let o = 0; o < outFeatures; o++) {
    row.fill(0)
    for (const delta of deltas) addRow(row, delta, o)
    values.set(row, o * inFeatures)
  }
  return { shape: [outFeatures, inFeatures], values }
}

function addRow (row: Float64Array, delta: ScaledDelta, o: number): void {
  const { length } = row
  if ('weight' in delta) {
    addScaled(row, delta.weight.values, o * length, delta.scale)
    return
  }
  const { a, b, scale } = delta
  const [rank] = a.shape
  for (let r = 0; r < rank; r++) addScaled(row, a.values, r * length, scale * b.values[o * rank + r])
}
