import * as tf from '@tensorflow/tfjs'
import { UnsupportedKernelError } from '../../../errors.js'
import { ELEMENT } from '../format.js'
import type { Dtype, Graph, Value } from '../graph.js'
import type { KernelCall, RecordKernel } from '../recorder.js'

function reshape (graph: Graph, x: Value, shape: readonly number[]): Value {
  if (x.shape.join() === shape.join()) return x
  return graph.emit('Reshape', [x, graph.integers(shape)], { shape, dtype: x.dtype })
}

function slice (graph: Graph, x: Value, begin: readonly number[], size: readonly number[]): Value {
  const ends = begin.map((from, axis) => from + size[axis])
  return graph.emit('Slice', [x, graph.integers(begin), graph.integers(ends)], { shape: size, dtype: x.dtype })
}

function fill (graph: Graph, shape: readonly number[], dtype: Dtype, value: number): Value {
  const size = tf.util.sizeFromShape([...shape])
  const Values = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype]
  return graph.constant(new Values(size).fill(value), { shape, dtype })
}

export function cast (graph: Graph, x: Value, dtype: Dtype): Value {
  return x.dtype === dtype ? x : graph.emit('Cast', [x], { shape: x.shape, dtype }, { attributes: { to: ELEMENT[dtype] } })
}

/** What one node may make: a shader has eight buffers at least (WebGPU, section 3.6.2, maxStorageBuffersPerShaderStage), and one is what it splits. */
const MOST_PIECES = 7

/** Pieces of the given sizes along an axis; where they are too many, of some larger ones. */
function split (graph: Graph, x: Value, sizes: readonly number[], axis: number): Value[] {
  if (sizes.length > MOST_PIECES) {
    const each = Math.ceil(sizes.length / MOST_PIECES)
    const groups = Array.from({ length: Math.ceil(sizes.length / each) }, (_, i) => sizes.slice(i * each, (i + 1) * each))
    const larger = split(graph, x, groups.map(group => group.reduce((sum, size) => sum + size, 0)), axis)
    return groups.flatMap((group, i) => group.length === 1 ? [larger[i]] : split(graph, larger[i], group, axis))
  }
  const results = sizes.map(size => ({ shape: x.shape.with(axis, size), dtype: x.dtype }))
  return graph.emitAll('Split', [x, graph.integers(sizes)], results, { attributes: { axis } })
}

function concat (graph: Graph, parts: readonly Value[], axis: number): Value {
  const length = parts.reduce((sum, { shape }) => sum + shape[axis], 0)
  return graph.emit('Concat', parts, { shape: parts[0].shape.with(axis, length), dtype: parts[0].dtype }, { attributes: { axis } })
}

/** Sizes of pieces: so many of one size, or as they are given, where one may be −1 for the rest. */
function pieces (length: number, split: number | readonly number[]): number[] {
  if (typeof split === 'number') return Array.from({ length: split }, () => length / split)
  const rest = length - split.filter(size => size !== -1).reduce((sum, size) => sum + size, 0)
  return split.map(size => size === -1 ? rest : size)
}

function axisOf (axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis
}

/**
 * Slices summed by their places. ONNX Runtime's ScatterND loses some where places are the same (measured); this does not.
 *
 * @param places `[count, 1]`
 * @returns `[rows, size]`
 */
function sumsAt (graph: Graph, places: Value, slices: Value, rows: number): Value {
  const [count, ...slice] = slices.shape
  const size = tf.util.sizeFromShape(slice)
  const zeros = graph.emit('Expand', [fill(graph, [], slices.dtype, 0), graph.integers([rows, size])], { shape: [rows, size], dtype: slices.dtype })
  const expanded = graph.emit('Expand', [places, graph.integers([count, size])], { shape: [count, size], dtype: 'int32' })
  return graph.emit('ScatterElements', [zeros, expanded, reshape(graph, slices, [count, size])], zeros, { attributes: { axis: 0, reduction: 'add' } })
}

export const SHAPING: Readonly<Record<string, RecordKernel>> = {
  Identity: ({ inputs: { x } }) => x,
  Reshape: ({ graph, inputs: { x }, attrs: { shape } }: KernelCall<{ shape: number[] }>) =>
    reshape(graph, x, tf.util.inferFromImplicitShape(shape, tf.util.sizeFromShape([...x.shape]))),
  ExpandDims: ({ graph, inputs: { input }, attrs: { dim } }: KernelCall<{ dim: number }>) =>
    reshape(graph, input, input.shape.toSpliced(axisOf(dim, input.shape.length + 1), 0, 1)),
  Transpose: ({ graph, inputs: { x }, attrs: { perm } }: KernelCall<{ perm: number[] }>) =>
    perm.every((from, to) => from === to)
      ? x
      : graph.emit('Transpose', [x], { shape: perm.map(axis => x.shape[axis]), dtype: x.dtype }, { attributes: { perm } }),
  Cast: ({ graph, inputs: { x }, attrs: { dtype } }: KernelCall<{ dtype: Dtype }>) => cast(graph, x, dtype),

  Fill: ({ graph, attrs: { shape, value, dtype } }: KernelCall<{ shape: number[], value: number, dtype?: Dtype }>) => fill(graph, shape, dtype ?? 'float32', value),
  Range: ({ graph, attrs: { start, stop, step, dtype } }: KernelCall<{ start: number, stop: number, step: number, dtype: 'float32' | 'int32' }>) => {
    const values = Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, i) => start + i * step)
    return graph.constant(dtype === 'int32' ? Int32Array.from(values) : Float32Array.from(values), { shape: [values.length], dtype })
  },
  ZerosLike: ({ graph, inputs: { x } }) => fill(graph, x.shape, x.dtype, 0),
  OnesLike: ({ graph, inputs: { x } }) => fill(graph, x.shape, x.dtype, 1),
  BroadcastTo: ({ graph, inputs: { x }, attrs: { shape } }: KernelCall<{ shape: number[] }>) =>
    graph.emit('Expand', [x, graph.integers(shape)], { shape, dtype: x.dtype }),
  Tile: ({ graph, inputs: { x }, attrs: { reps } }: KernelCall<{ reps: number[] }>) =>
    graph.emit('Tile', [x, graph.integers(reps)], { shape: x.shape.map((size, axis) => size * reps[axis]), dtype: x.dtype }),
  PadV2: ({ graph, inputs: { x }, attrs: { paddings, constantValue } }: KernelCall<{ paddings: Array<[number, number]>, constantValue: number }>) => {
    const pads = graph.integers([...paddings.map(([before]) => before), ...paddings.map(([, after]) => after)])
    const shape = x.shape.map((size, axis) => paddings[axis][0] + size + paddings[axis][1])
    return graph.emit('Pad', [x, pads, fill(graph, [], x.dtype, constantValue)], { shape, dtype: x.dtype })
  },

  Slice: ({ graph, inputs: { x }, attrs: { begin, size } }: KernelCall<{ begin: number | number[], size?: number | number[] }>) => {
    const [from, lengths] = tf.slice_util.parseSliceParams({ shape: [...x.shape] } as tf.TensorInfo, begin, size)
    return lengths.join() === x.shape.join() ? x : slice(graph, x, from, lengths)
  },
  SplitV: ({ graph, inputs: { x }, attrs: { numOrSizeSplits, axis } }: KernelCall<{ numOrSizeSplits: number | number[], axis: number }>) => {
    const along = axisOf(axis, x.shape.length)
    const sizes = pieces(x.shape[along], numOrSizeSplits)
    return sizes.length === 1 ? [x] : split(graph, x, sizes, along)
  },
  Unpack: ({ graph, inputs: { value }, attrs: { axis } }: KernelCall<{ axis: number }>) => {
    const along = axisOf(axis, value.shape.length)
    const count = value.shape[along]
    const parts = count === 1 ? [value] : split(graph, value, Array.from({ length: count }, () => 1), along)
    return parts.map(part => reshape(graph, part, value.shape.toSpliced(along, 1)))
  },
  Concat: ({ graph, inputs, attrs: { axis } }: KernelCall<{ axis: number }>) => {
    const parts = Object.values(inputs).filter(({ shape }) => !shape.includes(0))
    return parts.length === 1 ? parts[0] : concat(graph, parts, axisOf(axis, parts[0].shape.length))
  },
  Pack: ({ graph, inputs, attrs: { axis } }: KernelCall<{ axis: number }>) => {
    const parts = Object.values(inputs)
    const along = axisOf(axis, parts[0].shape.length + 1)
    const expanded = parts.map(part => reshape(graph, part, part.shape.toSpliced(along, 0, 1)))
    return expanded.length === 1 ? expanded[0] : concat(graph, expanded, along)
  },

  GatherV2: ({ graph, inputs: { x, indices }, attrs: { axis, batchDims } }: KernelCall<{ axis: number, batchDims: number }>) => {
    if (batchDims !== 0) throw new UnsupportedKernelError('kernel GatherV2 with batchDims cannot be compiled yet')
    return graph.emit('Gather', [x, indices], { shape: x.shape.toSpliced(axis, 1, ...indices.shape), dtype: x.dtype }, { attributes: { axis }, kept: x.kept })
  },
  /** Slices of a tensor replaced, each at the place that its row of indices says. */
  TensorScatterUpdate: ({ graph, inputs: { tensor, indices, updates } }) => {
    const places = graph.emit('Cast', [indices], indices, { attributes: { to: ELEMENT.int64 } }) // ONNX takes no others
    return graph.emit('ScatterND', [tensor, places, updates], tensor)
  },
  /** Zeros, to which each slice is added at the place that its index says. */
  ScatterNd: ({ graph, inputs: { indices, updates }, attrs: { shape } }: KernelCall<{ shape: number[] }>) => {
    if (indices.shape.length !== 2 || indices.shape[1] !== 1) throw new UnsupportedKernelError('kernel ScatterNd with more than one index a slice cannot be compiled yet')
    return reshape(graph, sumsAt(graph, indices, updates, shape[0]), shape)
  },
  /** The same, of places that are none but those of the slices: what the gradient of a gather is. */
  UnsortedSegmentSum: ({ graph, inputs: { x, segmentIds }, attrs: { numSegments } }: KernelCall<{ numSegments: number }>) => {
    if (segmentIds.shape.length !== 1) throw new UnsupportedKernelError('kernel UnsortedSegmentSum with segments of several axes cannot be compiled yet')
    return reshape(graph, sumsAt(graph, reshape(graph, segmentIds, [x.shape[0], 1]), x, numSegments), [numSegments, ...x.shape.slice(1)])
  },
  OneHot: ({ graph, inputs: { indices }, attrs: { depth, onValue, offValue, dtype } }: KernelCall<{ depth: number, onValue: number, offValue: number, dtype?: Dtype }>) => {
    const values = graph.constant(Float32Array.of(offValue, onValue), { shape: [2], dtype: 'float32' })
    const size = graph.constant(Int32Array.of(depth), { shape: [], dtype: 'int32' }) // of the indices' type, or ONNX Runtime has no kernel
    const listed = indices.shape.length === 0 ? reshape(graph, indices, [1]) : indices // ONNX knows no scalar of indices
    const below = graph.emit('Less', [listed, fill(graph, [], 'int32', 0)], { shape: listed.shape, dtype: 'bool' })
    const counted = graph.emit('Where', [below, size, listed], listed) // to ONNX, -1 is the last; TensorFlow.js gives it none
    const hot = graph.emit('OneHot', [counted, size, values], { shape: [...listed.shape, depth], dtype: 'float32' }, { attributes: { axis: -1 } })
    return cast(graph, reshape(graph, hot, [...indices.shape, depth]), dtype ?? 'float32')
  }
}
