import { blocksOf, BLOCK, NF4_VALUES, type Quantization } from '../../tensor/quantize.js'
import { footprint, sumOfTensors } from './footprint.js'
import { type Attribute, ELEMENT, type Element, type External, type Initializer, type Model, type Node, type Port } from './format.js'

export type Dtype = 'float32' | 'int32' | 'bool'
export type Data = Float32Array | Int32Array | Uint8Array

/** A tensor of the graph: known by its name, and by its numbers only where it is a constant. */
export interface Value {
  readonly name: string
  readonly shape: readonly number[]
  readonly dtype: Dtype
  /** What made it, for errors. */
  readonly producer: string
  /** Row-major, where it is a constant. */
  readonly data?: Data
  /** It lies there in 16 bits; nodes get it as `dtype` all the same. */
  readonly kept?: Half
  /** It lies there as codes; nodes get it as `dtype` all the same. */
  readonly quantized?: QuantizedValue
}

interface QuantizedValue {
  readonly kind: Quantization
  /** Name of its scales, one a block. */
  readonly scales: string
}

export interface QuantizedExternal {
  readonly kind: Quantization
  /** Float32. */
  readonly scales: External
}

export type Half = 'float16' | 'bfloat16'

/** Shape and type of what a node gives. */
export type Result = Pick<Value, 'shape' | 'dtype'>

interface EmitOptions {
  readonly attributes?: Readonly<Record<string, Attribute>>
  readonly domain?: string
  /** The node takes floats in so many bits, those that are kept so as they are, and gives the like. @default float32 */
  readonly kept?: Half | undefined
}

/** Operators beside ONNX's own that ONNX Runtime brings. */
export const MICROSOFT = 'com.microsoft'

const ITEM_BYTES = { float32: 4, int32: 4, bool: 1, float16: 2, bfloat16: 2 }

const OPSETS = { '': 21, [MICROSOFT]: 1 }

/** An ONNX graph in the making. */
export class Graph {
  readonly narrowProducts: boolean
  readonly #nodes: Node[] = []
  readonly #inputs: Port[] = []
  readonly #initializers = new Map<string, Initializer>()
  /** Names of integer parameters, by what they say. */
  readonly #integers = new Map<string, string>()
  /** Of what nodes give, by name. */
  readonly #bytes = new Map<string, number>()
  /** What makes float32 of a weight that lies otherwise. */
  readonly #widening = new Set<Node>()
  /** The two values that a byte of nf4 stands for. */
  #nf4Pairs: Value | undefined
  #count = 0

  /** @param narrowProducts whether products with what is kept in 16 bits are computed in so many */
  constructor (narrowProducts = false) {
    this.narrowProducts = narrowProducts
  }

  input (name: string, { shape, dtype }: Result): Value {
    this.#inputs.push({ name, shape, element: dtype })
    return { name, shape, dtype, producer: `input ${name}` }
  }

  /** A constant whose numbers lie in a file. */
  external (name: string, shape: readonly number[], place: External, { kept, quantized }: { readonly kept?: Half, readonly quantized?: QuantizedExternal } = {}): Value {
    const value: Value = { name, shape, dtype: 'float32', producer: `weight ${name}` }
    if (quantized === undefined) {
      this.#initializers.set(name, { name, shape, element: kept ?? 'float32', data: place })
      return { ...value, ...(kept && { kept }) }
    }
    const { kind } = quantized
    const scales = this.#name('scales')
    const blocks = blocksOf(sizeOf(shape))
    this.#initializers.set(name, kind === 'int8' ? { name, shape: [blocks, BLOCK], element: 'int8', data: place } : { name, shape: [blocks * BLOCK / 2], element: 'uint8', data: place })
    this.#initializers.set(scales, { name: scales, shape: kind === 'int8' ? [blocks] : [blocks, 1], element: 'float32', data: quantized.scales })
    return { ...value, quantized: { kind, scales } }
  }

  constant (data: Data, { shape, dtype }: Result): Value {
    const name = this.#name('constant')
    this.#initialize(name, dtype, shape, data)
    return { name, shape, dtype, data, producer: 'constant' }
  }

  /** Axes, sizes and other parameters that ONNX takes as a vector of int64; one of each. */
  integers (values: readonly number[]): string {
    const key = values.join()
    const known = this.#integers.get(key)
    if (known !== undefined) return known
    const name = this.#name('integers')
    this.#integers.set(key, name)
    this.#initialize(name, 'int64', [values.length], BigInt64Array.from(values, BigInt))
    return name
  }

  /** @param inputs values, or names of integers; undefined for one that is left out */
  emit (op: string, inputs: ReadonlyArray<Value | string | undefined>, result: Result, options: EmitOptions = {}): Value {
    return this.emitAll(op, inputs, [result], options)[0]
  }

  /** As `emit`, where there are several results. */
  emitAll (op: string, inputs: ReadonlyArray<Value | string | undefined>, results: readonly Result[], { attributes = {}, domain, kept }: EmitOptions = {}): Value[] {
    const names = inputs.map(input => typeof input === 'string' ? input : input === undefined ? '' : this.#as(kept, input).name)
    const values = results.map(({ shape, dtype }) => ({ name: this.#name(op), shape, dtype, producer: op, ...(kept !== undefined && dtype === 'float32' && { kept }) }))
    for (const { name, shape, dtype, kept } of values) this.#bytes.set(name, ITEM_BYTES[kept ?? dtype] * sizeOf(shape))
    this.#nodes.push({
      op,
      inputs: names,
      outputs: values.map(({ name }) => name),
      attributes,
      ...(domain === undefined ? {} : { domain })
    })
    return values
  }

  /** The graph of what the outputs need, and nothing else. All inputs stay. */
  finish (outputs: Readonly<Record<string, Value>>): Model & { readonly footprint: number, readonly sum: number } {
    const taken = new Set([...this.#inputs.map(({ name }) => name), ...this.#initializers.keys()])
    for (const [name, value] of Object.entries(outputs)) {
      if (taken.has(name)) throw new Error(`output ${name} is called as an input or a weight is; name it otherwise`)
      this.#nodes.push({ op: 'Identity', inputs: [this.#as(undefined, value).name], outputs: [name], attributes: {} })
    }
    const needed = new Set(Object.keys(outputs))
    const nodes = [...this.#nodes].reverse().filter(({ inputs, outputs }) => {
      const used = outputs.some(output => needed.has(output))
      if (used) for (const input of inputs) needed.add(input)
      return used
    }).reverse()
    return {
      nodes: withoutCopies(this.#wideningFirst(nodes), new Set([...this.#inputs.map(({ name }) => name), ...this.#initializers.keys()])),
      initializers: [...this.#initializers.values()].filter(({ name }) => needed.has(name)),
      inputs: this.#inputs,
      outputs: Object.entries(outputs).map(([name, { shape, dtype }]) => ({ name, shape, element: dtype })),
      opsets: OPSETS,
      footprint: footprint(nodes, new Set(Object.keys(outputs)), this.#bytes),
      sum: sumOfTensors(nodes, this.#bytes)
    }
  }

  /**
   * ONNX Runtime runs what a node takes in the order of its inputs' places, last place first: what has its place before all
   * others is widened just before it is needed, and not the whole model at the beginning (measured on GPT-2 small: 0.33 GB less).
   */
  #wideningFirst (nodes: readonly Node[]): Node[] {
    return [...nodes.filter(node => this.#widening.has(node)), ...nodes.filter(node => !this.#widening.has(node))]
  }

  /** Floats in other bits, made anew for each node that takes them: what is widened takes no memory for longer than that. */
  #as (kept: Half | undefined, given: Value): Value {
    if (given.dtype !== 'float32') return given
    const value = given.quantized === undefined ? given : this.#dequantized(given, given.quantized)
    if (value.kept === kept) return value
    const { shape, dtype, producer } = value
    const cast = { name: this.#name('Cast'), shape, dtype, producer, ...(kept && { kept }) }
    this.#bytes.set(cast.name, ITEM_BYTES[kept ?? dtype] * sizeOf(shape))
    const node = { op: 'Cast', inputs: [value.name], outputs: [cast.name], attributes: { to: ELEMENT[kept ?? 'float32'] } }
    if (this.#initializers.has(value.name)) this.#widening.add(node)
    this.#nodes.push(node)
    return cast
  }

  /**
   * Blocks are rows, as DequantizeLinear widens these several times faster than blocks of one axis (measured on a CPU). ONNX
   * Runtime's own MatMulBnb4 is not used: what it computes on the CPU without transB is wrong, and its backward pass would need that.
   */
  #dequantized ({ name, shape, dtype }: Value, { kind, scales }: QuantizedValue): Value {
    const first = this.#nodes.length
    const size = sizeOf(shape)
    const blocks = blocksOf(size)
    const rows = kind === 'int8'
      ? this.emit('DequantizeLinear', [name, scales], { shape: [blocks, BLOCK], dtype }, { attributes: { axis: 0 } })
      : this.#dequantizedNf4(name, scales, blocks)
    const flat = (value: Value, length: number): Value => this.emit('Reshape', [value, this.integers([length])], { shape: [length], dtype })
    const values = size === blocks * BLOCK
      ? rows
      : this.emit('Slice', [flat(rows, blocks * BLOCK), this.integers([0]), this.integers([size])], { shape: [size], dtype })
    const whole = this.emit('Reshape', [values, this.integers(shape)], { shape, dtype })
    for (const node of this.#nodes.slice(first)) this.#widening.add(node)
    return whole
  }

  /** `[blocks, 64]` */
  #dequantizedNf4 (codes: string, scales: string, blocks: number): Value {
    const bytes = blocks * BLOCK / 2
    this.#nf4Pairs ??= this.constant(Float32Array.from({ length: 512 }, (_, i) => NF4_VALUES[i % 2 === 0 ? i >>> 5 : (i >>> 1) & 15]), { shape: [256, 2], dtype: 'float32' })
    const indices = this.emit('Cast', [codes], { shape: [bytes], dtype: 'int32' }, { attributes: { to: ELEMENT.int32 } })
    const pairs = this.emit('Gather', [this.#nf4Pairs, indices], { shape: [bytes, 2], dtype: 'float32' }, { attributes: { axis: 0 } })
    const rows = this.emit('Reshape', [pairs, this.integers([blocks, BLOCK])], { shape: [blocks, BLOCK], dtype: 'float32' })
    return this.emit('Mul', [rows, scales], { shape: [blocks, BLOCK], dtype: 'float32' })
  }

  #initialize (name: string, element: Element, shape: readonly number[], data: Data | BigInt64Array): void {
    this.#initializers.set(name, { name, element, shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) })
  }

  /** Begins as no name that a step gives does. */
  #name (kind: string): string {
    return `%${kind}_${this.#count++}`
  }
}

function sizeOf (shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** A node's result that is only copied to an output gets the output's name instead. */
function withoutCopies (nodes: readonly Node[], given: ReadonlySet<string>): Node[] {
  const renamed = new Map<string, string>()
  const rest = nodes.filter(({ op, inputs: [from], outputs: [to] }) => {
    const copies = op === 'Identity' && !given.has(from) && !renamed.has(from)
    if (copies) renamed.set(from, to)
    return !copies
  })
  const rename = (name: string): string => renamed.get(name) ?? name
  return rest.map(node => ({ ...node, inputs: node.inputs.map(rename), outputs: node.outputs.map(rename) }))
}
