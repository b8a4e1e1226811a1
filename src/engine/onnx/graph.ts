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
  external (name: string, shape: readonly number[], place: External, kept?: Half): Value {
    this.#initializers.set(name, { name, shape, element: kept ?? 'float32', data: place })
    return { name, shape, dtype: 'float32', producer: `weight ${name}`, ...(kept && { kept }) }
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
    for (const { name, shape, dtype, kept } of values) this.#bytes.set(name, ITEM_BYTES[kept ?? dtype] * shape.reduce((product, size) => product * size, 1))
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
    const widens = ({ op, inputs: [from] }: Node): boolean => op === 'Cast' && this.#initializers.has(from)
    return [...nodes.filter(widens), ...nodes.filter(node => !widens(node))]
  }

  /** Floats in other bits, made anew for each node that takes them: what is widened takes no memory for longer than that. */
  #as (kept: Half | undefined, value: Value): Value {
    if (value.dtype !== 'float32' || value.kept === kept) return value
    const { shape, dtype, producer } = value
    const cast = { name: this.#name('Cast'), shape, dtype, producer, ...(kept && { kept }) }
    this.#bytes.set(cast.name, ITEM_BYTES[kept ?? dtype] * shape.reduce((product, size) => product * size, 1))
    this.#nodes.push({ op: 'Cast', inputs: [value.name], outputs: [cast.name], attributes: { to: ELEMENT[kept ?? 'float32'] } })
    return cast
  }

  #initialize (name: string, element: Element, shape: readonly number[], data: Data | BigInt64Array): void {
    this.#initializers.set(name, { name, element, shape, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) })
  }

  /** Begins as no name that a step gives does. */
  #name (kind: string): string {
    return `%${kind}_${this.#count++}`
  }
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
