import * as tf from '@tensorflow/tfjs'
import { UnsupportedKernelError } from '../../../errors.js'
import { type Graph, MICROSOFT, type Value } from '../graph.js'
import type { KernelCall, RecordKernel } from '../recorder.js'

interface MatMulAttrs { transposeA?: boolean, transposeB?: boolean }

/** Products of matrices, in batches of any rank, either side transposed. */
function matMul (graph: Graph, a: Value, b: Value, { transposeA = false, transposeB = false }: MatMulAttrs): Value {
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(a.shape.slice(0, -2), b.shape.slice(0, -2))
  const rows = a.shape.at(transposeA ? -1 : -2) ?? 1
  const columns = b.shape.at(transposeB ? -2 : -1) ?? 1
  const result = { shape: [...batch, rows, columns], dtype: a.dtype }
  const kept = graph.narrowProducts ? a.kept ?? b.kept : undefined
  if (!transposeA && !transposeB) return graph.emit('MatMul', [a, b], result, { kept })
  const attributes = { transA: transposeA ? 1 : 0, transB: transposeB ? 1 : 0 }
  return a.shape.length === 2 && b.shape.length === 2
    ? graph.emit('Gemm', [a, b], result, { attributes, kept })
    : graph.emit('FusedMatMul', [a, b], result, { attributes, domain: MICROSOFT, kept })
}

export const PRODUCTS: Readonly<Record<string, RecordKernel>> = {
  BatchMatMul: ({ graph, inputs: { a, b }, attrs }: KernelCall<MatMulAttrs>) => matMul(graph, a, b, attrs),
  _FusedMatMul: ({ graph, inputs: { a, b, bias }, attrs }: KernelCall<MatMulAttrs & { activation?: string }>) => {
    if (attrs.activation !== undefined && attrs.activation !== 'linear') throw new UnsupportedKernelError(`kernel _FusedMatMul with ${attrs.activation} cannot be compiled yet`)
    const product = matMul(graph, a, b, attrs)
    return (bias as Value | undefined) === undefined ? product : graph.emit('Add', [product, bias], product)
  }
}
