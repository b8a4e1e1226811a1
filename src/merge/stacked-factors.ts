import type { FloatTensor } from '../types.js'

/** ΔW `[out, in]` = B·A, A `[r, in]`, B `[out, r]`. */
export interface Factors {
  readonly a: FloatTensor
  readonly b: FloatTensor
}

/** Σ scale_k·B_k·A_k as one product, the scales inside B: A `[Σr_k, in]` and B `[out, Σr_k]`. */
export function stackedFactors (parts: ReadonlyArray<Factors & { readonly scale: number }>): Factors {
  const [inFeatures, outFeatures] = [parts[0].a.shape[1], parts[0].b.shape[0]]
  const rank = parts.reduce((sum, { a }) => sum + a.shape[0], 0)
  const a = new Float32Array(rank * inFeatures) // [Σr, in]
  const b = new Float32Array(outFeatures * rank) // [out, Σr]
  let first = 0
  for (const { a: { shape: [own], values }, b: { values: column }, scale } of parts) {
    a.set(values, first * inFeatures)
    for (let o = 0; o < outFeatures; o++) {
      for (let r = 0; r < own; r++) b[o * rank + first + r] = scale * column[o * own + r]
    }
    first += own
  }
  return { a: { shape: [rank, inFeatures], values: a }, b: { shape: [outFeatures, rank], values: b } }
}
