import * as tf from '@tensorflow/tfjs'
import type { Dtype, Graph, Value } from '../graph.js'
import type { KernelCall, RecordKernel } from '../recorder.js'
import { isAll, scalar } from './constants.js'
import { cast } from './shaping.js'

/** One result of the same shape for each element of x. */
function unary (op: string): RecordKernel {
  return ({ graph, inputs: { x } }) => graph.emit(op, [x], x)
}

/** `unary`, of floats also where x holds integers. */
function ofFloats (op: string): RecordKernel {
  return ({ graph, inputs: { x } }) => {
    const float = cast(graph, x, 'float32')
    return graph.emit(op, [float], float)
  }
}

/** One result for each pair of elements, broadcast as in NumPy. */
function binary (op: string, dtype?: Dtype): RecordKernel {
  return ({ graph, inputs: { a, b } }) => graph.emit(op, [a, b], { shape: broadcast(a, b), dtype: dtype ?? a.dtype })
}

/** `binary`, where an operand that is all `neutral` changes nothing. */
function withNeutral (op: string, neutral: number, either: boolean): RecordKernel {
  const record = binary(op)
  return call => {
    const { a, b } = call.inputs
    const shape = broadcast(a, b).join()
    if (isAll(b, neutral) && a.shape.join() === shape) return a
    if (either && isAll(a, neutral) && b.shape.join() === shape) return b
    return record(call)
  }
}

function broadcast (a: Value, b: Value): number[] {
  return tf.backend_util.assertAndGetBroadcastShape([...a.shape], [...b.shape])
}

function square (graph: Graph, x: Value): Value {
  return graph.emit('Mul', [x, x], x)
}

export const ELEMENTWISE: Readonly<Record<string, RecordKernel>> = {
  Abs: unary('Abs'),
  Cos: unary('Cos'),
  Erf: unary('Erf'),
  Exp: ofFloats('Exp'),
  Floor: unary('Floor'),
  Log: unary('Log'),
  LogicalNot: unary('Not'),
  Neg: unary('Neg'),
  Reciprocal: unary('Reciprocal'),
  Relu: unary('Relu'),
  Sigmoid: unary('Sigmoid'),
  Sign: unary('Sign'),
  Sin: unary('Sin'),
  Softplus: unary('Softplus'),
  Sqrt: unary('Sqrt'),
  Tanh: unary('Tanh'),
  Rsqrt: ({ graph, inputs: { x } }) => graph.emit('Reciprocal', [graph.emit('Sqrt', [x], x)], x),
  Square: ({ graph, inputs: { x } }) => square(graph, x),
  /** 1 above 0, α elsewhere, and NaN where x is. */
  Step: ({ graph, inputs: { x }, attrs: { alpha } }: KernelCall<{ alpha: number }>) => {
    const above = graph.emit('Greater', [x, scalar(graph, 0)], { shape: x.shape, dtype: 'bool' })
    const below = graph.emit('LessOrEqual', [x, scalar(graph, 0)], { shape: x.shape, dtype: 'bool' })
    return graph.emit('Where', [above, scalar(graph, 1), graph.emit('Where', [below, scalar(graph, alpha), x], x)], x)
  },

  Add: withNeutral('Add', 0, true),
  Sub: withNeutral('Sub', 0, false),
  Multiply: withNeutral('Mul', 1, true),
  RealDiv: withNeutral('Div', 1, false),
  Maximum: binary('Max'),
  Minimum: binary('Min'),
  Pow: binary('Pow'),
  SquaredDifference: ({ graph, inputs: { a, b } }) => square(graph, graph.emit('Sub', [a, b], { shape: broadcast(a, b), dtype: a.dtype })),
  AddN: ({ graph, inputs }) => {
    const [first, ...others] = Object.values(inputs)
    return others.reduce((sum, value) => graph.emit('Add', [sum, value], first), first)
  },

  Equal: binary('Equal', 'bool'),
  NotEqual: ({ graph, inputs: { a, b } }) => {
    const result = { shape: broadcast(a, b), dtype: 'bool' as const }
    return graph.emit('Not', [graph.emit('Equal', [a, b], result)], result)
  },
  Greater: binary('Greater', 'bool'),
  GreaterEqual: binary('GreaterOrEqual', 'bool'),
  Less: binary('Less', 'bool'),
  LessEqual: binary('LessOrEqual', 'bool'),
  LogicalAnd: binary('And', 'bool'),
  LogicalOr: binary('Or', 'bool'),
  Select: ({ graph, inputs: { condition, t, e } }) => {
    const trailing = t.shape.length - condition.shape.length // TensorFlow.js aligns a vector of conditions with the first axis
    const shape = [...condition.shape, ...Array.from({ length: trailing }, () => 1)]
    const aligned = trailing === 0 ? condition : graph.emit('Reshape', [condition, graph.integers(shape)], { shape, dtype: 'bool' })
    const dtype = tf.upcastType(t.dtype, e.dtype) as Dtype
    return graph.emit('Where', [aligned, cast(graph, t, dtype), cast(graph, e, dtype)], { shape: t.shape, dtype })
  }
}
