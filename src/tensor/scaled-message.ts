import { InvalidTensorError } from '../errors.js'
import type { NamedTensors, TensorData } from '../types.js'
import { bitsOf, fromFloat16, toFloat16 } from './half.js'
import { decodeValues, type EncodedTensor, type EncodeOptions, joinEncoded, splitEncoded, valueBytes } from './safetensors.js'

/** Before the name of a tensor, that of its exponent. */
const EXPONENT = 'exponent.'

/** The exponent of the largest that is sent: with binary16's own largest, 15, rounding could make it infinite. */
const TOP = 14

/** Exponents of the least float32 above 0, which is subnormal, and of the largest. */
const [LEAST, LARGEST] = [-149, 127]

/**
 * Tensors in binary16, as safetensors: of floats their values times 2^−e, F16 in their shape, and under `exponent.<name>` e, an I32.
 * With e the largest of them has 14 as its exponent: none is too large for binary16, and down to 2^−28 of it they have its whole
 * precision, where most of ∇ĥ would be subnormal, or zero. Integers are as they are. Exponents come first, so that they are aligned.
 */
export function encodeScaled (tensors: NamedTensors, options?: EncodeOptions): Uint8Array {
  const exponents: EncodedTensor[] = []
  const encoded: EncodedTensor[] = []
  for (const [name, { shape, values }] of tensors) {
    if (values instanceof Int32Array) {
      encoded.push({ name, dtype: 'I32', shape, bytes: valueBytes(values, 'I32') })
      continue
    }
    const exponent = exponentOf(values)
    exponents.push({ name: EXPONENT + name, dtype: 'I32', shape: [], bytes: valueBytes(Int32Array.of(exponent), 'I32') })
    encoded.push({ name, dtype: 'F16', shape, bytes: new Uint8Array(toFloat16(values, 2 ** -exponent).buffer) })
  }
  return joinEncoded([...exponents, ...encoded], options)
}

/**
 * The tensors of such a message: floats as float32, which has each of them exactly but what was rounded up to 2^128.
 *
 * @throws {InvalidTensorError} if the bytes are not such a message, or an exponent is missing, one too many, or none of float32's
 */
export function decodeScaled (bytes: Uint8Array): { tensors: NamedTensors, metadata: Readonly<Record<string, string>> } {
  const { tensors, metadata } = splitEncoded(bytes)
  const exponents = new Map(tensors.filter(({ name }) => name.startsWith(EXPONENT)).map(tensor => [tensor.name, tensor]))
  const decoded = tensors.filter(({ name }) => !name.startsWith(EXPONENT)).map((tensor): [string, TensorData] => {
    const { name, dtype, shape, bytes } = tensor
    if (dtype === 'I32') return [name, decodeValues(name, tensor, bytes)]
    if (dtype !== 'F16') throw new InvalidTensorError(`${name} is ${dtype}, it must be F16, or I32`)
    const exponent = readExponent(name, exponents.get(EXPONENT + name))
    exponents.delete(EXPONENT + name)
    return [name, { shape, values: fromFloat16(new Uint16Array(new Uint8Array(bytes).buffer), 2 ** exponent) }]
  })
  if (exponents.size > 0) throw new InvalidTensorError(`${[...exponents.keys()].join(', ')}: of no tensor in F16`)
  return { tensors: new Map(decoded), metadata }
}

/** 0 for zeros, for nothing at all, and where a value is not finite: who is sent that refuses it, whatever becomes of the others. */
function exponentOf (values: Float32Array): number {
  const bits = bitsOf(values)
  let largest = 0
  for (let i = 0; i < bits.length; i++) largest = Math.max(largest, bits[i] & 0x7fffffff) // magnitudes are in the order of their bits
  if (largest === 0 || largest >= 0x7f800000) return 0
  return (largest < 0x00800000 ? LEAST + 31 - Math.clz32(largest) : (largest >>> 23) - 127) - TOP
}

function readExponent (name: string, tensor: EncodedTensor | undefined): number {
  if (tensor?.dtype !== 'I32' || tensor.shape.length > 0) throw new InvalidTensorError(`${name} has ${tensor === undefined ? 'no exponent' : `an exponent ${tensor.dtype} [${tensor.shape.join(', ')}]`}, it must be one I32`)
  const [exponent] = decodeValues(tensor.name, tensor, tensor.bytes).values
  if (exponent < LEAST - TOP || exponent > LARGEST - TOP) throw new InvalidTensorError(`${name} has exponent ${exponent}, it must be from ${LEAST - TOP} to ${LARGEST - TOP}`)
  return exponent
}
