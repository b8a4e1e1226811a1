import * as tf from '@tensorflow/tfjs'
import type { TensorData } from '../../src/types.js'
import { seeded } from '../merge/random.js'

type TensorFunction = (...x: tf.Tensor[]) => tf.Tensor | tf.Tensor[]

/** A use of a kernel, as a function of inputs. */
export interface KernelCase {
  /** For people. */
  readonly what: string
  readonly inputs: readonly TensorData[]
  readonly f: TensorFunction
  /** The same by other kernels, where the CPU backend lacks this one. */
  readonly reference?: TensorFunction
  /** Whether the gradient by every float that goes in is compared too. @default false */
  readonly gradient?: boolean
  /** Whether results have to be equal, as those that are integers have to. @default false */
  readonly exact?: boolean
  /** Whether the CPU backend's own kernel gives the same, by which constants are folded. @default true */
  readonly foldable?: boolean
}

type Options = Omit<KernelCase, 'what' | 'inputs' | 'f'>
type Shape = readonly number[]

const ALL: Options = { gradient: true }
const EXACT: Options = { exact: true }
const BOTH: Options = { gradient: true, exact: true }

const random = seeded(7)

function sizeOf (shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Numbers between two, none of them near 0, where functions may have a kink. */
function floats (shape: Shape, from = -2, to = 2): TensorData {
  return {
    shape,
    values: Float32Array.from({ length: sizeOf(shape) }, () => {
      const value = from + random() * (to - from)
      return Math.abs(value) < 0.05 ? value + 0.1 : value
    })
  }
}

function integers (shape: Shape, from: number, to: number): TensorData {
  return { shape, values: Int32Array.from({ length: sizeOf(shape) }, () => from + Math.floor(random() * (to - from))) }
}

function given (...values: number[]): TensorData {
  return { shape: [values.length], values: Float32Array.from(values) }
}

function one (what: string, inputs: readonly TensorData[], f: TensorFunction, options: Options = {}): KernelCase {
  return { what: `${what}, ${inputs.map(({ shape }) => `[${shape.join(', ')}]`).join(' ')}`, inputs, f, ...options }
}

function cast (x: tf.Tensor): tf.Tensor {
  return tf.cast(x, 'float32')
}

function positive (x: tf.Tensor): tf.Tensor {
  return tf.greater(x, 0)
}

const SHAPES: readonly Shape[] = [[], [1], [7], [2, 3], [1, 1, 4], [3, 1, 2, 5]]

/** A function of each element, for shapes of every rank. */
function unary (f: (x: tf.Tensor) => tf.Tensor, options: Options & { readonly from?: number, readonly to?: number, readonly integers?: boolean } = ALL): KernelCase[] {
  return [
    ...SHAPES.map(shape => one('floats', [floats(shape, options.from, options.to)], f, options)),
    ...options.integers === true ? [one('integers', [integers([2, 5], -3, 4)], f)] : []
  ]
}

const PAIRS: ReadonlyArray<readonly [Shape, Shape]> = [
  [[], []], [[1], [1]], [[5], [5]], [[2, 3], [2, 3]], [[2, 3], [3]], [[3], [2, 3]], [[2, 1], [1, 3]], [[], [2, 2]], [[2, 2], []],
  [[2, 1, 3], [4, 1]], [[1, 2, 1, 3], [2, 2, 5, 1]], [[1], [2, 3]], [[1, 1], [4]]
]

/** A function of pairs of elements, broadcast in every way. */
function binary (f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor, options: Options & { readonly from?: number, readonly to?: number, readonly integers?: boolean } = ALL): KernelCase[] {
  return [
    ...PAIRS.map(([a, b]) => one('floats', [floats(a, options.from, options.to), floats(b, options.from, options.to)], f, options)),
    ...options.integers === false ? [] : [[[4], [4]], [[2, 3], [3]], [[2, 1], [1, 3]]].map(([a, b]) => one('integers', [integers(a, -3, 4), integers(b, 1, 4)], f))
  ]
}

/** A function of pairs of elements whose gradient TensorFlow.js gives only where shapes are equal. */
function alike (f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): KernelCase[] {
  return SHAPES.map(shape => one('of one shape', [floats(shape), floats(shape)], f, ALL))
}

/** Integers that are often equal, and numbers that are ordered only in part. */
function comparison (f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): KernelCase[] {
  const compared = (a: tf.Tensor, b: tf.Tensor): tf.Tensor => cast(f(a, b))
  return [
    ...PAIRS.map(([a, b]) => one('integers', [integers(a, 0, 2), integers(b, 0, 2)], compared, EXACT)),
    ...PAIRS.map(([a, b]) => one('floats', [floats(a), floats(b)], compared, EXACT)),
    one('the same', [given(0, -1.5, Infinity)], x => compared(x, x), EXACT),
    one('NaN and infinities', [given(NaN, NaN, 1, Infinity, -Infinity, 0), given(NaN, 1, NaN, Infinity, Infinity, 0)], compared, EXACT)
  ]
}

function logical (f: (a: tf.Tensor, b: tf.Tensor) => tf.Tensor): KernelCase[] {
  return PAIRS.map(([a, b]) => one('conditions', [floats(a), floats(b)], (x, y) => cast(f(positive(x), positive(y))), EXACT))
}

function reduction (f: (x: tf.Tensor, axis?: number | number[], keepDims?: boolean) => tf.Tensor, options: Options = ALL): KernelCase[] {
  const axes: ReadonlyArray<readonly [Shape, ReadonlyArray<number | number[] | undefined>]> = [
    [[], [undefined]], [[1], [undefined, 0, -1]], [[5], [undefined, 0, -1]], [[2, 3], [undefined, 0, 1, -1, -2, [0, 1], [-1, 0]]],
    [[2, 3, 1], [1, -1, [0, 2], [-1, -3]]], [[2, 1, 3, 4], [undefined, -1, -2, [1, 2], [0, -1], [0, 1, 2, 3]]]
  ]
  return axes.flatMap(([shape, list]) => list.flatMap(axis => [false, true].map(keepDims =>
    one(`axis ${axis === undefined ? 'none' : JSON.stringify(axis)}${keepDims ? ', kept' : ''}`, [floats(shape, 0.5, 2)], x => f(x, axis, keepDims), options))))
}

const SOFTMAX_SHAPES: readonly Shape[] = [[1], [5], [2, 3], [3, 1], [2, 1, 3, 4]]

/** Each side transposed or not, in batches of every rank. */
function products (f: (a: tf.Tensor, b: tf.Tensor, transposeA: boolean, transposeB: boolean) => tf.Tensor): KernelCase[] {
  const turned = (shape: Shape, transposed: boolean): Shape => transposed ? [...shape.slice(0, -2), ...shape.slice(-2).reverse()] : shape
  const pairs: ReadonlyArray<readonly [Shape, Shape]> = [
    [[2, 3], [3, 4]], [[1, 1], [1, 1]], [[1, 3], [3, 1]], [[3, 1], [1, 2]], [[2, 2, 3], [2, 3, 4]], [[1, 2, 3], [1, 3, 4]],
    [[2, 3, 1, 3], [2, 3, 3, 2]], [[2, 1, 4, 2], [2, 1, 2, 1]]
  ]
  return pairs.flatMap(([a, b]) => [false, true].flatMap(transposeA => [false, true].map(transposeB => one(
    `a${transposeA ? 'ᵀ' : ''} b${transposeB ? 'ᵀ' : ''}`, [floats(turned(a, transposeA)), floats(turned(b, transposeB))], (x, y) => f(x, y, transposeA, transposeB), ALL))))
}

/** Where one side has no batch, or a batch of one, each side transposed or not. */
function broadcastProducts (): KernelCase[] {
  const sizes: ReadonlyArray<readonly [Shape, Shape]> = [[[4], []], [[], [4]], [[4], [1]], [[1], [4]], [[2, 3], [3]], [[3], [2, 3]], [[2, 3], [1, 1]], [[], [2, 3]]]
  return sizes.flatMap(([a, b]) => [false, true].flatMap(transposeA => [false, true].map(transposeB => one(
    `a${transposeA ? 'ᵀ' : ''} b${transposeB ? 'ᵀ' : ''}, broadcast`,
    [floats([...a, ...transposeA ? [3, 2] : [2, 3]]), floats([...b, ...transposeB ? [5, 3] : [3, 5]])],
    (x, y) => tf.matMul(x, y, transposeA, transposeB)))))
}

/** Cases of every kernel, under its name. */
export const KERNEL_CASES: Readonly<Record<string, readonly KernelCase[]>> = {
  Abs: unary(tf.abs, { ...ALL, integers: true }),
  Cos: unary(tf.cos),
  Erf: unary(tf.erf, { ...ALL, from: 0.5, to: 3 }),
  Exp: [...unary(tf.exp), one('integers', [integers([2, 3], -3, 4)], tf.exp)],
  Floor: [...unary(tf.floor, BOTH), one('wholes', [given(-2, -0.5, 0.5, 3)], tf.floor, EXACT)],
  Log: unary(tf.log, { ...ALL, from: 1.5, to: 6 }),
  LogicalNot: SHAPES.map(shape => one('conditions', [floats(shape)], x => cast(tf.logicalNot(positive(x))), EXACT)),
  Neg: unary(tf.neg, { ...BOTH, integers: true }),
  Reciprocal: unary(tf.reciprocal),
  Relu: [...unary(tf.relu, { ...BOTH, integers: true }), one('0 and NaN', [given(0, NaN, -Infinity, Infinity)], tf.relu, EXACT)],
  Sigmoid: [...unary(tf.sigmoid), one('far away', [given(-90, -20, 20, 90)], tf.sigmoid)],
  Sign: [...unary(tf.sign, { ...BOTH, integers: true }), one('0', [given(0, 1e-30, -1e-30)], tf.sign, EXACT)],
  Sin: unary(tf.sin),
  Softplus: [...unary(tf.softplus), one('far away', [given(-50, -20, 20, 50)], tf.softplus, ALL)],
  Sqrt: unary(tf.sqrt, { ...ALL, from: 0.1, to: 4 }),
  Tanh: [...unary(tf.tanh), one('far away', [given(-50, -5, 5, 50)], tf.tanh)],
  Rsqrt: unary(tf.rsqrt, { ...ALL, from: 0.1, to: 4 }),
  Square: unary(tf.square, { ...ALL, integers: true }),
  Step: [
    ...unary(x => tf.step(x), BOTH), ...unary(x => tf.step(x, 0.25), EXACT), one('0 and NaN', [given(0, NaN, 1e-30, -1e-30)], x => tf.step(x, -1), EXACT)
  ],

  Add: [
    ...binary(tf.add), one('0', [floats([2, 3])], x => tf.add(x, 0), BOTH), one('0 first', [floats([2, 3])], x => tf.add(0, x), BOTH),
    one('zeros that make it larger', [floats([1, 3])], x => tf.add(x, tf.zeros([2, 3])), BOTH), one('itself', [floats([3])], x => tf.add(x, x), BOTH)
  ],
  Sub: [
    ...binary(tf.sub), one('0', [floats([2, 3])], x => tf.sub(x, 0), BOTH), one('from 0', [floats([2, 3])], x => tf.sub(0, x), BOTH),
    one('zeros that make it larger', [floats([3])], x => tf.sub(x, tf.zeros([2, 3])), BOTH)
  ],
  Multiply: [
    ...binary(tf.mul), one('1', [floats([2, 3])], x => tf.mul(x, 1), BOTH), one('1 first', [floats([2, 3])], x => tf.mul(1, x), BOTH),
    one('ones that make it larger', [floats([2, 1])], x => tf.mul(tf.ones([2, 3]), x), BOTH), one('0', [floats([2])], x => tf.mul(x, 0), ALL)
  ],
  RealDiv: [
    ...binary(tf.div, { ...ALL, from: 0.5, to: 3, integers: false }), one('1', [floats([2, 3])], x => tf.div(x, 1), BOTH), one('1 by it', [floats([2, 3])], x => tf.div(1, x), ALL)
  ],
  Maximum: [...binary(tf.maximum, {}), ...alike(tf.maximum), one('NaN', [given(NaN, 1, NaN), given(1, NaN, NaN)], tf.maximum, EXACT)],
  Minimum: [...binary(tf.minimum, {}), ...alike(tf.minimum), one('NaN', [given(NaN, 1, NaN), given(1, NaN, NaN)], tf.minimum, EXACT)],
  Pow: [...binary(tf.pow, { ...ALL, from: 0.5, to: 2.5 }), one('of negative numbers', [floats([2, 3])], x => tf.pow(x, tf.scalar(3)), ALL)],
  SquaredDifference: [...binary(tf.squaredDifference, {}), ...alike(tf.squaredDifference)],
  AddN: [
    one('one', [floats([2, 3])], x => tf.addN([x]), BOTH), one('three', [floats([2, 3]), floats([2, 3]), floats([2, 3])], (...x) => tf.addN(x), ALL),
    one('twelve', Array.from({ length: 12 }, () => floats([1])), (...x) => tf.addN(x), ALL), one('scalars', [floats([]), floats([])], (...x) => tf.addN(x), ALL),
    one('integers', [integers([4], -5, 5), integers([4], -5, 5)], (...x) => tf.addN(x))
  ],

  Equal: comparison(tf.equal),
  NotEqual: comparison(tf.notEqual),
  Greater: comparison(tf.greater),
  GreaterEqual: comparison(tf.greaterEqual),
  Less: comparison(tf.less),
  LessEqual: comparison(tf.lessEqual),
  LogicalAnd: logical(tf.logicalAnd),
  LogicalOr: logical(tf.logicalOr),
  Select: [
    ...PAIRS.map(([a, b]) => one('one of two', [floats(a), integers(b, 0, 2), floats(b)], (x, y, z) => tf.where(tf.equal(y, 0), x, z), ALL)),
    one('by a scalar', [integers([], 0, 2), floats([2, 3]), floats([2, 3])], (x, y, z) => tf.where(tf.equal(x, 0), y, z), BOTH),
    one('a number or another', [integers([2, 3], 0, 2)], x => tf.where(tf.equal(x, 0), tf.scalar(2), tf.scalar(-1)), EXACT),
    one('integers or floats', [integers([2, 3], 0, 2), floats([2, 3])], (x, y) => tf.where(tf.equal(x, 0), x, y), EXACT),
    one('integers', [integers([2, 3], 0, 2), integers([2, 3], -9, 9)], (x, y) => tf.where(tf.equal(x, 0), x, y)),
    one('conditions along the first axis', [floats([3]), floats([3, 2, 2]), floats([3, 2, 2])],
      (x, y, z) => tf.engine().runKernel('Select', { condition: positive(x), t: y, e: z }),
      { ...EXACT, foldable: false, reference: (x, y, z) => tf.where(positive(tf.reshape(x, [3, 1, 1])), y, z) })
  ],

  Identity: SHAPES.map(shape => one('a copy', [floats(shape)], x => tf.clone(x), BOTH)),
  Reshape: ([[[6], [2, 3]], [[2, 3], [-1]], [[], [1, 1]], [[1, 1], []], [[2, 3, 4], [4, -1, 3]], [[2, 3], [2, 3]], [[1, 3], [3, 1]]] as const).map(([from, to]) =>
    one(`to [${to.join(', ')}]`, [floats(from)], x => tf.reshape(x, [...to]), BOTH)),
  ExpandDims: ([[[], 0], [[3], 0], [[3], 1], [[3], -1], [[2, 3], 1], [[2, 3], -1], [[2, 3], -3]] as const).map(([shape, axis]) =>
    one(`axis ${axis}`, [floats(shape)], x => tf.expandDims(x, axis), BOTH)),
  Transpose: [
    ...([[[2, 3], [1, 0]], [[2, 3, 4], [2, 0, 1]], [[2, 3, 4], [0, 2, 1]], [[2, 3, 1, 4], [0, 2, 1, 3]], [[2, 3], [0, 1]], [[1, 1], [1, 0]]] as const).map(([shape, perm]) =>
      one(`by ${perm.join()}`, [floats(shape)], x => tf.transpose(x, [...perm]), BOTH)),
    one('reversed', [floats([2, 3, 4])], x => tf.transpose(x), BOTH), one('integers', [integers([2, 3], 0, 9)], x => tf.transpose(x))
  ],
  Cast: [
    one('floats to integers', [given(-2.7, -0.5, 0, 0.5, 1.9, 3e8)], x => tf.cast(x, 'int32')), one('integers to floats', [integers([2, 3], -5, 5)], cast, EXACT),
    one('floats to conditions', [given(0, 0.25, -3, NaN)], x => cast(tf.cast(x, 'bool')), EXACT), one('integers to conditions', [integers([7], -1, 2)], x => cast(tf.cast(x, 'bool')), EXACT),
    one('conditions to integers', [floats([5])], x => tf.cast(positive(x), 'int32')), one('to what it is', [floats([2])], cast, BOTH)
  ],

  Fill: ([[], [1], [2, 3], [2, 1, 3]] as const).flatMap(shape => [
    one(`floats [${shape.join()}]`, [floats([])], x => tf.mul(tf.fill([...shape], 2.5), x), ALL), one(`integers [${shape.join()}]`, [integers([], 1, 5)], x => tf.mul(tf.fill([...shape], 3, 'int32'), x))
  ]),
  Range: [
    one('upwards', [floats([5])], x => tf.mul(x, tf.range(1, 6)), ALL), one('downwards', [floats([3])], x => tf.mul(x, tf.range(3, 0, -1)), ALL),
    one('fractions', [floats([4])], x => tf.mul(x, tf.range(0, 1, 0.25)), ALL), one('integers', [integers([4], 1, 5)], x => tf.mul(x, tf.range(0, 12, 3, 'int32')))
  ],
  ZerosLike: [
    ...SHAPES.map(shape => one('floats', [floats(shape)], tf.zerosLike, EXACT)), one('integers', [integers([3], 1, 5)], tf.zerosLike),
    one('conditions', [floats([3])], x => cast(tf.zerosLike(positive(x))), EXACT)
  ],
  OnesLike: [
    ...SHAPES.map(shape => one('floats', [floats(shape)], tf.onesLike, EXACT)), one('integers', [integers([3], 2, 5)], tf.onesLike),
    one('conditions', [floats([3])], x => cast(tf.onesLike(positive(x))), EXACT)
  ],
  BroadcastTo: ([[[3], [2, 3]], [[1, 3], [2, 3]], [[2, 1], [2, 3]], [[], [2, 2]], [[1, 2, 1], [3, 2, 4]]] as const).map(([from, to]) => one(
    `to [${to.join(', ')}]`, [floats(from)], x => tf.engine().runKernel('BroadcastTo', { x }, { shape: [...to] }), { ...EXACT, reference: x => tf.broadcastTo(x, [...to]) })),
  Tile: [
    ...([[[3], [2]], [[2, 3], [1, 2]], [[2, 3], [3, 2]], [[1], [1]], [[2, 1, 3], [1, 4, 2]]] as const).map(([shape, reps]) =>
      one(`times ${reps.join()}`, [floats(shape)], x => tf.tile(x, [...reps]), { gradient: true })),
    one('integers', [integers([2], 0, 9)], x => tf.tile(x, [3])), one('broadcast', [floats([2, 1])], x => tf.broadcastTo(x, [3, 2, 4]), ALL)
  ],
  PadV2: [
    ...([[[3], [[1, 2]]], [[2, 3], [[0, 0], [1, 0]]], [[2, 3], [[2, 1], [0, 3]]], [[2, 1, 3], [[0, 1], [1, 1], [0, 0]]], [[1], [[0, 0]]]] as const).map(([shape, pads]) =>
      one(`by ${JSON.stringify(pads)}`, [floats(shape)], x => tf.pad(x, pads as unknown as Array<[number, number]>), BOTH)),
    one('with 3', [floats([2, 2])], x => tf.pad(x, [[1, 0], [0, 2]], 3), BOTH), one('integers with 3', [integers([2, 2], 0, 9)], x => tf.pad(x, [[1, 0], [0, 2]], 3))
  ],

  Slice: [
    ...([[[5], [1], [3]], [[2, 3], [0, 1], [2, 2]], [[2, 3], [1, 0], [-1, -1]], [[2, 3, 4], [1, 1, 1], [1, -1, 2]], [[2, 3], [0, 0], [2, 3]], [[2, 3], [0, 0], [-1, -1]]] as const).map(([shape, begin, size]) =>
      one(`from ${begin.join()}, ${size.join()}`, [floats(shape)], x => tf.slice(x, [...begin], [...size]), BOTH)),
    one('integers', [integers([6], 0, 9)], x => tf.slice(x, [2], [3])),
    one('to the end', [floats([3, 4])], x => tf.slice(x, [1, 2]), BOTH),
    one('from a number', [floats([5])], x => tf.slice(x, 2), BOTH),
    one('a number from a number', [floats([5])], x => tf.slice(x, 2, 2), BOTH),
    one('of the first axis', [floats([4, 3])], x => tf.slice(x, 1, 2), BOTH),
    one('of the first axes', [floats([4, 3, 2])], x => tf.slice(x, [1, 1], [2, 2]), BOTH)
  ],
  SplitV: ([[[6], 3, 0], [[2, 6], 3, 1], [[2, 6], 2, -1], [[2, 6], [1, 2, 3], 1], [[5, 2], [2, -1], 0], [[2, 3], 1, 0], [[1, 2, 1], [1], -1], [[2, 17], [1, 2, 3, 1, 1, 2, 4, 1, 1, 1], 1], [[50], 50, 0]] as const).map(([shape, pieces, axis]) =>
    one(`${JSON.stringify(pieces)} along ${axis}`, [floats(shape)], x => tf.split(x, pieces as number | number[], axis), EXACT)),
  Unpack: ([[[3], 0], [[2, 3], 0], [[2, 3], 1], [[2, 3], -1], [[1, 3], 0], [[2, 3, 2], -2], [[2, 9], -1]] as const).map(([shape, axis]) =>
    one(`along ${axis}`, [floats(shape)], x => tf.unstack(x, axis), EXACT)),
  Concat: [
    ...([[[2], [3], 0], [[2, 3], [1, 3], 0], [[2, 3], [2, 1], 1], [[2, 3], [2, 2], -1], [[2, 1, 3], [2, 4, 3], 1], [[2, 1, 3], [2, 4, 3], -2]] as const).map(([a, b, axis]) =>
      one(`along ${axis}`, [floats(a), floats(b)], (x, y) => tf.concat([x, y], axis), BOTH)),
    one('with nothing', [floats([2, 3])], x => tf.concat([tf.zeros([0, 3]), x], 0), EXACT), one('with itself', [floats([2, 3])], x => tf.concat([x, x, x], 1), ALL),
    one('integers', [integers([2], 0, 9), integers([1], 0, 9)], (x, y) => tf.concat([x, y], 0))
  ],
  Pack: [
    ...([[[], 0], [[2], 0], [[2], 1], [[2], -1], [[2, 3], 1], [[2, 3], -2], [[1], 0]] as const).map(([shape, axis]) =>
      one(`along ${axis}`, [floats(shape), floats(shape), floats(shape)], (...x) => tf.stack(x, axis), BOTH)),
    one('one', [floats([2])], x => tf.stack([x], 1), BOTH)
  ],
  GatherV2: [
    ...([[[5], [3], 0], [[5, 2], [4], 0], [[2, 5], [4], 1], [[2, 5], [3], -1], [[5, 2], [2, 3], 0], [[2, 5, 3], [2], 1], [[5, 1], [], 0], [[5], [1, 1, 2], 0]] as const).map(([shape, of, axis]) =>
      one(`along ${axis}`, [floats(shape), integers(of, 0, 5)], (x, i) => tf.gather(x, tf.cast(i, 'int32'), axis), EXACT)),
    one('integers', [integers([5], 0, 9), integers([2], 0, 5)], (x, i) => tf.gather(x, tf.cast(i, 'int32')))
  ],
  TensorScatterUpdate: ([[[5], [[0], [3]], []], [[4, 3], [[1]], [3]], [[4, 3], [[3], [0], [2]], [3]], [[2, 3], [[1, 2], [0, 0]], []], [[3, 2, 2], [[2], [0]], [2, 2]]] as const).map(([shape, places, slice]) => {
    const indices = { shape: [places.length, places[0].length], values: Int32Array.from(places.flat()) }
    return one(`at ${JSON.stringify(places)}`, [floats(shape), indices, floats([places.length, ...slice])], (x, i, updates) => tf.tensorScatterUpdate(x, i, updates), EXACT)
  }),
  ScatterNd: ([[[5], [0, 3], []], [[4, 3], [1], [3]], [[4, 3], [3, 0, 3, 3], [3]], [[3, 2, 2], [2, 2], [2, 2]]] as const).map(([shape, places, slice]) => {
    const indices = { shape: [places.length, 1], values: Int32Array.from(places) }
    return one(`at ${places.join()}`, [indices, floats([places.length, ...slice])], (i, updates) => tf.scatterND(i, updates, [...shape]))
  }),
  UnsortedSegmentSum: ([[[5], [0, 3, 1, 0, 3], 4], [[2, 3], [1, 1], 4], [[3, 2, 2], [4, 0, 4], 5]] as const).map(([shape, segments, count]) =>
    one(`to ${segments.join()}`, [floats(shape), { shape: [segments.length], values: Int32Array.from(segments) }], (x, ids) => tf.unsortedSegmentSum(x, ids as tf.Tensor1D, count), ALL)),
  OneHot: [
    ...([[], [1], [5], [2, 3]] as const).flatMap(shape => [
      one('ones', [integers(shape, 0, 4)], i => tf.oneHot(tf.cast(i, 'int32'), 4), EXACT),
      one('others', [integers(shape, 0, 4)], i => tf.oneHot(tf.cast(i, 'int32'), 4, 0.5, -1.5, 'float32'), EXACT)
    ]),
    one('above', [integers([4], 1, 6)], i => tf.oneHot(tf.cast(i, 'int32'), 3)),
    one('below 0', [{ shape: [4], values: Int32Array.of(-1, 0, 2, -3) }], i => tf.oneHot(tf.cast(i, 'int32'), 3))
  ],

  Sum: [...reduction(tf.sum), one('integers', [integers([3, 4], -9, 9)], x => tf.sum(x, 1)), one('conditions', [floats([3, 4])], x => tf.sum(positive(x), 0))],
  Mean: [...reduction(tf.mean), one('integers', [integers([3, 4], -9, 9)], x => tf.mean(x, 1))],
  Max: [...reduction(tf.max), one('negative', [floats([2, 3], -3, -1)], x => tf.max(x, -1), BOTH), one('integers', [integers([3, 4], -9, 9)], x => tf.max(x, 1))],
  Min: [...reduction(tf.min), one('negative', [floats([2, 3], -3, -1)], x => tf.min(x, -1), BOTH), one('integers', [integers([3, 4], -9, 9)], x => tf.min(x, 1))],
  Prod: [...reduction(tf.prod, {}), one('integers', [integers([3, 4], -3, 3)], x => tf.prod(x, 1))],
  Softmax: [...SOFTMAX_SHAPES.map(shape => one('the last axis', [floats(shape)], x => tf.softmax(x), ALL)), one('large numbers', [given(1e4, 1e4 - 1, -1e4, -3.4e38)], x => tf.softmax(x), ALL)],
  LogSoftmax: SOFTMAX_SHAPES.map(shape => one('the last axis', [floats(shape)], x => tf.engine().runKernel('LogSoftmax', { logits: x }, { axis: -1 }), { reference: x => tf.logSoftmax(x) })),

  BatchMatMul: [...products((a, b, transposeA, transposeB) => tf.matMul(a, b, transposeA, transposeB)), ...broadcastProducts()],
  _FusedMatMul: [
    ...products((a, b, transposeA, transposeB) => tf.fused.matMul({ a, b, transposeA, transposeB })),
    ...[false, true].flatMap(transposeA => [false, true].map(transposeB => one('with a bias', [floats(transposeA ? [3, 2] : [2, 3]), floats(transposeB ? [4, 3] : [3, 4]), floats([4])],
      (a, b, bias) => tf.fused.matMul({ a, b, bias, transposeA, transposeB }), ALL))),
    one('a batch with a bias', [floats([2, 2, 3]), floats([2, 3, 4]), floats([4])], (a, b, bias) => tf.fused.matMul({ a, b, bias }))
  ]
}
