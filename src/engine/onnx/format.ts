import protobuf from 'protobufjs/light.js'

/**
 * What we write of ONNX's model format (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), under its own names
 * and numbers.
 */
const { root } = protobuf.Root.fromJSON({
  nested: {
    ModelProto: fields({
      irVersion: [1, 'int64'], producerName: [2, 'string'], graph: [7, 'GraphProto'], opsetImport: [8, 'OperatorSetIdProto', 'repeated']
    }),
    OperatorSetIdProto: fields({ domain: [1, 'string'], version: [2, 'int64'] }),
    GraphProto: fields({
      node: [1, 'NodeProto', 'repeated'],
      name: [2, 'string'],
      initializer: [5, 'TensorProto', 'repeated'],
      input: [11, 'ValueInfoProto', 'repeated'],
      output: [12, 'ValueInfoProto', 'repeated']
    }),
    NodeProto: fields({
      input: [1, 'string', 'repeated'],
      output: [2, 'string', 'repeated'],
      name: [3, 'string'],
      opType: [4, 'string'],
      attribute: [5, 'AttributeProto', 'repeated'],
      domain: [7, 'string']
    }),
    AttributeProto: fields({
      name: [1, 'string'], f: [2, 'float'], i: [3, 'int64'], s: [4, 'bytes'], ints: [8, 'int64', 'repeated'], type: [20, 'int32']
    }),
    TensorProto: fields({
      dims: [1, 'int64', 'repeated'],
      dataType: [2, 'int32'],
      name: [8, 'string'],
      rawData: [9, 'bytes'],
      externalData: [13, 'StringStringEntryProto', 'repeated'],
      dataLocation: [14, 'int32']
    }),
    StringStringEntryProto: fields({ key: [1, 'string'], value: [2, 'string'] }),
    ValueInfoProto: fields({ name: [1, 'string'], type: [2, 'TypeProto'] }),
    TypeProto: fields({ tensorType: [1, 'TensorTypeProto'] }),
    TensorTypeProto: fields({ elemType: [1, 'int32'], shape: [2, 'TensorShapeProto'] }),
    TensorShapeProto: fields({ dim: [1, 'DimensionProto', 'repeated'] }),
    DimensionProto: fields({ dimValue: [1, 'int64'] })
  }
})

const modelProto = root.lookupType('ModelProto')

type Field = readonly [id: number, type: string, rule?: 'repeated']

function fields (named: Readonly<Record<string, Field>>): protobuf.INamespace {
  return { fields: Object.fromEntries(Object.entries(named).map(([name, [id, type, rule]]) => [name, { id, type, ...(rule && { rule }) }])) } as protobuf.INamespace
}

/** Element types (`TensorProto.DataType`). */
export const ELEMENT = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, bool: 9, float16: 10, bfloat16: 16 } as const
export type Element = keyof typeof ELEMENT

/** Numbers of `AttributeProto.AttributeType`. */
const ATTRIBUTE = { float: 1, int: 2, string: 3, ints: 7 } as const

/** A float stands as `{ float }`, as JavaScript does not tell 1 from 1.0. */
export type Attribute = number | string | readonly number[] | { readonly float: number }

export interface Node {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, Attribute>>
  /** Of the operator set. @default ONNX's own */
  readonly domain?: string
}

/** Where values lie in a file beside the model. */
export interface External {
  /** Relative to the folder that the session is told of. */
  readonly location: string
  /** In bytes. */
  readonly offset: number
  /** In bytes. */
  readonly length: number
}

export interface Initializer {
  readonly name: string
  readonly element: Element
  readonly shape: readonly number[]
  readonly data: Uint8Array | External
}

export interface Port {
  readonly name: string
  readonly element: Element
  readonly shape: readonly number[]
}

export interface Model {
  readonly nodes: readonly Node[]
  readonly initializers: readonly Initializer[]
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  /** Version of each operator set, by its domain. */
  readonly opsets: Readonly<Record<string, number>>
}

/** 8 is enough for what we write; newer sets of operators ask for 10. */
const IR_VERSION = 10

const EXTERNAL_LOCATION = 1

/** The bytes of a model that ONNX Runtime loads. */
export function encodeModel ({ nodes, initializers, inputs, outputs, opsets }: Model): Uint8Array {
  return modelProto.encode({
    irVersion: IR_VERSION,
    producerName: 'colanet',
    opsetImport: Object.entries(opsets).map(([domain, version]) => ({ domain, version })),
    graph: {
      name: 'step',
      node: nodes.map(({ op, inputs, outputs, attributes, domain = '' }) =>
        ({ opType: op, input: inputs, output: outputs, name: outputs[0], domain, attribute: Object.entries(attributes).map(encodeAttribute) })),
      initializer: initializers.map(encodeInitializer),
      input: inputs.map(encodePort),
      output: outputs.map(encodePort)
    }
  }).finish()
}

function encodeAttribute ([name, value]: [string, Attribute]): object {
  if (typeof value === 'number') return { name, i: value, type: ATTRIBUTE.int }
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: ATTRIBUTE.string }
  return 'float' in value ? { name, f: value.float, type: ATTRIBUTE.float } : { name, ints: value, type: ATTRIBUTE.ints }
}

function encodeInitializer ({ name, element, shape, data }: Initializer): object {
  const tensor = { name, dims: shape, dataType: ELEMENT[element] }
  if (data instanceof Uint8Array) return { ...tensor, rawData: data }
  const { location, offset, length } = data
  const externalData = Object.entries({ location, offset, length }).map(([key, value]) => ({ key, value: String(value) }))
  return { ...tensor, externalData, dataLocation: EXTERNAL_LOCATION }
}

function encodePort ({ name, element, shape }: Port): object {
  return { name, type: { tensorType: { elemType: ELEMENT[element], shape: { dim: shape.map(dimValue => ({ dimValue })) } } } }
}
