import { Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix'
import type { FloatTensor } from '../types.js'
import type { Factors } from './stacked-factors.js'

/** ΔW of one site before it is scaled: a matrix `[out, in]`, or the product B·A of A `[R, in]` and B `[out, R]`. */
export type Delta = { readonly weight: FloatTensor } | Factors

/** How far a truncation goes: to a rank, or to the least rank whose relative error ‖ΔW − ΔW_r‖ / ‖ΔW‖ (Frobenius) is no more than so much. */
export type Limit = { readonly rank: number } | { readonly maxError: number }

/** The nearest matrix of a lower rank, as factors whose columns and rows weigh the same. */
export interface Truncated {
  /** `[r, in]` */
  readonly a: FloatTensor
  /** `[out, r]` */
  readonly b: FloatTensor
  /** r; 1 also where the matrix is zero. */
  readonly rank: number
  /** ‖ΔW‖² */
  readonly size: number
  /** ‖ΔW − ΔW_r‖² */
  readonly residual: number
}

/**
 * Of all matrices of rank r the one that is nearest to ΔW (Eckart and Young 1936): its first r singular values. A product of
 * factors is never multiplied out: B = Q_B·R_B and Aᵀ = Q_A·R_A, so that the singular values of the small R_B·R_Aᵀ `[R, R]`
 * are those of B·A. In float64.
 */
export function truncate (delta: Delta, limit: Limit): Truncated {
  const { left, values, right } = 'weight' in delta ? decompose(matrixOf(delta.weight)) : decomposeProduct(delta.a, delta.b)
  const squares = values.map(value => value * value)
  const rank = rankWithin(values, squares, limit)
  const roots = values.slice(0, rank).map(Math.sqrt)
  return {
    a: tensorOf(rank, right.rows, (r, i) => roots[r] * right.get(i, r)),
    b: tensorOf(left.rows, rank, (o, r) => left.get(o, r) * roots[r]),
    rank,
    size: sumOf(squares),
    residual: sumOf(squares.slice(rank))
  }
}

/** ‖ΔW − ΔW_r‖ / ‖ΔW‖ over several sites together; 0 where there is nothing. */
export function relativeError (parts: ReadonlyArray<Pick<Truncated, 'size' | 'residual'>>): number {
  const size = sumOf(parts.map(part => part.size))
  return size === 0 ? 0 : Math.sqrt(sumOf(parts.map(part => part.residual)) / size)
}

/** left·diag(values)·rightᵀ, values from the greatest. */
interface Decomposed {
  /** `[out, k]` */
  readonly left: Matrix
  readonly values: readonly number[]
  /** `[in, k]` */
  readonly right: Matrix
}

function decompose (matrix: Matrix): Decomposed {
  const { leftSingularVectors: left, diagonal: values, rightSingularVectors: right } = new SingularValueDecomposition(matrix, { autoTranspose: true })
  return { left, values, right }
}

function decomposeProduct (a: FloatTensor, b: FloatTensor): Decomposed {
  const [rank, inFeatures] = a.shape
  const [outFeatures] = b.shape
  if (rank >= Math.min(inFeatures, outFeatures)) return decompose(matrixOf(b).mmul(matrixOf(a))) // it is no larger than its factors
  const ofB = new QrDecomposition(matrixOf(b))
  const ofA = new QrDecomposition(matrixOf(a).transpose())
  const { left, values, right } = decompose(ofB.upperTriangularMatrix.mmul(ofA.upperTriangularMatrix.transpose())) // [R, R]
  return { left: ofB.orthogonalMatrix.mmul(left), values, right: ofA.orthogonalMatrix.mmul(right) }
}

/** Singular values that are zero but for rounding count as zero, as in numpy's `matrix_rank`. */
function rankWithin (values: readonly number[], squares: readonly number[], limit: Limit): number {
  const zero = (values[0] ?? 0) * values.length * Number.EPSILON
  const whole = Math.max(1, values.filter(value => value > zero).length)
  if ('rank' in limit) return Math.min(limit.rank, whole)
  const allowed = limit.maxError ** 2 * sumOf(squares)
  let [rank, residual] = [whole, 0]
  while (rank > 1 && residual + squares[rank - 1] <= allowed) {
    rank--
    residual += squares[rank]
  }
  return rank
}

function matrixOf ({ shape: [rows, columns], values }: FloatTensor): Matrix {
  return Matrix.from1DArray(rows, columns, values)
}

function tensorOf (rows: number, columns: number, valueAt: (row: number, column: number) => number): FloatTensor {
  return { shape: [rows, columns], values: Float32Array.from({ length: rows * columns }, (_, i) => valueAt(Math.floor(i / columns), i % columns)) }
}

function sumOf (numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}
