import { CholeskyDecomposition, EigenvalueDecomposition, Matrix } from 'ml-matrix'
import type { FloatTensor } from '../types.js'

/** A module's matrix as the product of two. */
export interface LowRankStandIn {
  /** U `[out, r]` */
  readonly u: FloatTensor
  /** V `[r, in]` */
  readonly v: FloatTensor
}

/** What is added to the diagonal of the moment, of its mean: inputs that never came have no part in it. */
const DAMPING = 1e-6

/**
 * Of all matrices of rank r the one whose outputs are nearest on the data, in ‖(W − U·V)·X‖ (Frobenius). With XXᵀ = L·Lᵀ that
 * is ‖(W − U·V)·L‖, and the nearest to W·L is Q·Qᵀ·W·L (Eckart and Young 1936), Q its first r left singular vectors, the
 * principal directions of the outputs: U = Q and V = Qᵀ·W. Of the data nothing but XXᵀ is needed. In float64.
 *
 * @param weight W `[out, in]`
 * @param moment XXᵀ, the sum of x·xᵀ over all places, `[in, in]`
 * @param rank at most the smaller of in and out
 * @returns factors that weigh the same in each direction, since a fit moves both
 */
export function lowRankStandIn (weight: FloatTensor, moment: FloatTensor, rank: number): LowRankStandIn {
  const w = matrixOf(weight)
  const outputs = w.mmul(rootOf(moment)) // W·L, [out, in]
  const q = leftSingular(outputs, rank) // [out, r]
  const v = q.transpose().mmul(w) // [r, in]
  const roots = Array.from({ length: rank }, (_, r) => Math.sqrt(v.getRowVector(r).norm()))
  return {
    u: tensorOf(q.mulRowVector(roots)),
    v: tensorOf(v.divColumnVector(roots.map(root => root === 0 ? 1 : root)))
  }
}

/** The first r, by the eigenvectors of the smaller of Y·Yᵀ and Yᵀ·Y. */
function leftSingular (y: Matrix, rank: number): Matrix {
  const transposed = y.transpose()
  if (y.rows <= y.columns) return principal(y.mmul(transposed), rank)
  const directions = y.mmul(principal(transposed.mmul(y), rank)) // [out, r]
  const lengths = Array.from({ length: rank }, (_, r) => directions.getColumnVector(r).norm())
  return directions.divRowVector(lengths.map(length => length === 0 ? 1 : length))
}

/** Eigenvectors of the greatest eigenvalues, `[n, r]`. */
function principal (gram: Matrix, rank: number): Matrix {
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(gram, { assumeSymmetric: true })
  const order = realEigenvalues.map((value, i) => ({ value, i })).sort((a, b) => b.value - a.value)
  return eigenvectorMatrix.subMatrixColumn(order.slice(0, rank).map(({ i }) => i))
}

/** L of L·Lᵀ, `[in, in]`. */
function rootOf (moment: FloatTensor): Matrix {
  const damped = matrixOf(moment)
  const [size] = moment.shape
  const mean = damped.trace() / size
  const added = mean === 0 ? 1 : DAMPING * mean
  for (let i = 0; i < size; i++) damped.set(i, i, damped.get(i, i) + added)
  return new CholeskyDecomposition(damped).lowerTriangularMatrix
}

function matrixOf ({ shape: [rows, columns], values }: FloatTensor): Matrix {
  return Matrix.from1DArray(rows, columns, values)
}

function tensorOf (matrix: Matrix): FloatTensor {
  return { shape: [matrix.rows, matrix.columns], values: Float32Array.from(matrix.to1DArray()) }
}
