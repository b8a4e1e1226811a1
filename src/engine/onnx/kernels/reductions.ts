import * as tf from '@tensorflow/tfjs'
import type { Graph, Value } from '../graph.js'
import type { KernelCall, RecordKernel } from '../recorder.js'
import { cast } from './shaping.js'

interface ReduceAttrs { axis: number | number[], keepDims?: boolean }

function reduce (op: string): RecordKernel {
  return ({ graph, inputs: { x }, attrs: { axis, keepDims = false } }: KernelCall<ReduceAttrs>) => {
    const axes = tf.util.parseAxisParam(axis, [...x.shape])
    if (axes.length === 0) return x
    const shape = x.shape.flatMap((size, i) => axes.includes(i) ? (keepDims ? [1] : []) : [size])
    return graph.emit(op, [x, graph.integers(axes)], { shape, dtype: x.dtype }, { attributes: { keepdims: keepDims ? 1 : 0 } })
  }
}

function alongLast (graph: Graph, op: string, x: Value): Value {
  return graph.emit(op, [x], x, { attributes: { axis: -1 } })
}

export const REDUCTIONS: Readonly<Record<string, RecordKernel>> = {
  Sum: reduce('ReduceSum'),
  Mean: ({ inputs: { x }, ...call }) => reduce('ReduceMean')({ ...call, inputs: { x: cast(call.graph, x, 'float32') } }),
  Max: ({ attrs: { reductionIndices, keepDims }, ...call }: KernelCall<{ reductionIndices: number | number[], keepDims?: boolean }>) =>
    reduce('ReduceMax')({ ...call, attrs: { axis: reductionIndices, keepDims } as never }),
  Min: reduce('ReduceMin'),
  Prod: reduce('ReduceProd'),
  Softmax: ({ graph, inputs: { logits } }) => alongLast(graph, 'Softmax', logits),
  LogSoftmax: ({ graph, inputs: { logits } }) => alongLast(graph, 'LogSoftmax', logits)
}
