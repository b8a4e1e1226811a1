import type { FloatTensor } from '../types.js'

/**
 * A module's matrix with most of its values zero. In each row those stay that have the greatest |w|·‖x‖, ‖x‖ the norm of the
 * input that they are multiplied by over all places (Wanda, arXiv 2306.11695).
 *
 * @param weight W `[out, in]`
 * @param moment XXᵀ, the sum of x·xᵀ over all places, `[in, in]`, of which the diagonal is needed
 * @param kept values that stay in a row
 */
export function prunedStandIn (weight: FloatTensor, moment: FloatTensor, kept: number): FloatTensor {
  const [outFeatures, inFeatures] = weight.shape
  const norms = Float64Array.from({ length: inFeatures }, (_, i) => Math.sqrt(moment.values[i * inFeatures + i]))
  const values = new Float32Array(weight.values.length)
  for (let o = 0; o < outFeatures; o++) {
    const row = weight.values.subarray(o * inFeatures, (o + 1) * inFeatures)
    const scores = Float64Array.from(row, (value, i) => Math.abs(value) * norms[i])
    const order = Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a] || Math.abs(row[b]) - Math.abs(row[a]))
    for (const i of order.slice(0, kept)) values[o * inFeatures + i] = row[i]
  }
  return { shape: weight.shape, values }
}
