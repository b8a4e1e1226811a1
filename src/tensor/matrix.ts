/** Matrices at rest, row-major. */
import type { FloatTensor } from '../types.js'

export function transposed ({ shape: [rows, columns], values }: FloatTensor): FloatTensor {
  const turned = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]
  }
  return { shape: [columns, rows], values: turned }
}

/** U·V of U `[n, r]` and V `[r, m]`, summed in float64 and rounded once. */
export function product ({ shape: [rows, rank], values: u }: FloatTensor, { shape: [, columns], values: v }: FloatTensor): FloatTensor {
  const values = new Float32Array(rows * columns)
  const sum = new Float64Array(columns) // one row
  for (let row = 0; row < rows; row++) {
    sum.fill(0)
    for (let r = 0; r < rank; r++) addScaled(sum, v, r * columns, u[row * rank + r])
    values.set(sum, row * columns)
  }
  return { shape: [rows, columns], values }
}

/** Adds factor·values, as many as there are sums, from one of them on. */
export function addScaled (sums: Float64Array, values: Float32Array, from: number, factor: number): void {
  for (let i = 0; i < sums.length; i++) sums[i] += factor * values[from + i]
}
