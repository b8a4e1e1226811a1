import { open } from 'node:fs/promises'
import { InvalidTensorError } from '../errors.js'
import type { FloatTensor } from '../types.js'
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './half.js'
import { dequantize, type Quantization } from './quantize.js'
import { decodeValues, floatTensor, type SafetensorsDtype } from './safetensors.js'

/** A tensor that lies in a file: where, and as what. */
export interface StoredTensor {
  readonly path: string
  /** Of its first byte in the file. */
  readonly offset: number
  /** None where it is all zeros. */
  readonly bytes: number
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  /** Its values are rounded to this. @default they are as they lie there */
  readonly rounded?: HalfDtype
  /** What lies there are codes: all of them, whole blocks. @default they are its values */
  readonly quantized?: StoredQuantization
}

interface StoredQuantization {
  readonly kind: Quantization
  /** Where the scales lie in the same file, as float32. */
  readonly scales: { readonly offset: number, readonly bytes: number }
  /** How far the values were moved. */
  readonly error: QuantizationError
}

/** Sums over the values of a tensor. */
export interface QuantizationError {
  /** Of the squares of what was added to each. */
  readonly moved: number
  /** Of their own squares. */
  readonly size: number
}

export type HalfDtype = 'F16' | 'BF16'

/** One read takes little less than 2 GiB at most. */
const MAX_READ_BYTES = 1 << 30

/** A tensor of zeros, of which nothing lies in a file. @param path of any that is there */
export function storedZeros (path: string, shape: readonly number[]): StoredTensor {
  return { path, offset: 0, bytes: 0, dtype: 'F32', shape }
}

/** Its values, as float32. @throws {InvalidTensorError} if it holds integers, or the file has become shorter, or values are too large to be rounded */
export async function readStored (name: string, stored: StoredTensor): Promise<FloatTensor> {
  if (stored.quantized !== undefined) return await readQuantized(name, stored, stored.quantized)
  const { shape, values } = await readAsFloat32(name, stored)
  if (stored.rounded === undefined || stored.rounded === stored.dtype) return { shape, values }
  const rounded = widen(narrow(values, stored.rounded), stored.rounded)
  const at = rounded.findIndex((value, i) => !Number.isFinite(value) && Number.isFinite(values[i]))
  if (at >= 0) throw new InvalidTensorError(`${name} holds ${values[at]}, which is too large for ${stored.rounded}; use bf16 or f32`)
  return { shape, values: rounded }
}

/** Values in 16 bits each. */
export function narrow (values: Float32Array, dtype: HalfDtype): Uint16Array {
  return dtype === 'F16' ? toFloat16(values) : toBfloat16(values)
}

/** The other way. */
export function widen (halves: Uint16Array, dtype: HalfDtype): Float32Array {
  return dtype === 'F16' ? fromFloat16(halves) : fromBfloat16(halves)
}

async function readQuantized (name: string, stored: StoredTensor, { kind, scales }: StoredQuantization): Promise<FloatTensor> {
  const { path, shape } = stored
  const codes = await readBytes(name, stored)
  const { buffer } = await readBytes(name, { path, ...scales })
  return { shape, values: dequantize(kind, { codes, scales: new Float32Array(buffer) }, shape.reduce((product, size) => product * size, 1)) }
}

async function readAsFloat32 (name: string, stored: StoredTensor): Promise<FloatTensor> {
  const { dtype, shape, bytes } = stored
  if (bytes === 0) return { shape, values: new Float32Array(shape.reduce((product, size) => product * size, 1)) }
  return floatTensor(new Map([[name, decodeValues(name, { dtype, shape }, await readBytes(name, stored))]]), name)
}

/** The bytes of a tensor as they lie there. @throws {InvalidTensorError} if the file has become shorter */
export async function readBytes (name: string, { path, offset, bytes }: Pick<StoredTensor, 'path' | 'offset' | 'bytes'>): Promise<Uint8Array<ArrayBuffer>> {
  const file = await open(path)
  try {
    const buffer = new Uint8Array(bytes)
    for (let done = 0; done < bytes;) {
      const { bytesRead } = await file.read(buffer, done, Math.min(bytes - done, MAX_READ_BYTES), offset + done)
      if (bytesRead === 0) throw new InvalidTensorError(`${name}: ${path} ends before it; the file was changed`)
      done += bytesRead
    }
    return buffer
  } finally {
    await file.close()
  }
}
