import { InvalidTensorError } from '../errors.js'
import type { NamedTensors, TensorData, TensorValues } from '../types.js'
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from './half.js'

/**
 * The safetensors format (https://huggingface.co/docs/safetensors): eight bytes of header length (little-endian),
 * a JSON header, then the values. We read F32, F16, BF16, I32 and I64, and write F32, F16,
 * BF16 and I32.
 */
const READ_BYTES = { F32: 4, F16: 2, BF16: 2, I32: 4, I64: 8 } as const
/** What may stand in a file beside the tensors that we read. */
const UNREAD_BYTES = { F64: 8, F8_E4M3: 1, F8_E5M2: 1, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 } as const
const ITEM_BYTES = { ...READ_BYTES, ...UNREAD_BYTES } as const
export type SafetensorsDtype = keyof typeof ITEM_BYTES
export type FloatDtype = 'F32' | 'F16' | 'BF16'

/** Bytes that hold the length of the header. */
export const PREFIX_BYTES = 8

/** The format's own limit on its header, in bytes. */
const MAX_HEADER_BYTES = 100_000_000

/** More axes than any model has. */
const MAX_RANK = 8

/** The header, the entry of a tensor, and its shape or offsets. */
const MAX_DEPTH = 3

/** The shortest entry, `"":{"dtype":"I8","shape":[],"data_offsets":[0,0]},`, has three brackets that open, and 49 bytes. */
const MIN_BYTES_BY_BRACKET = 16

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = Buffer.from('"\\[]{}')

/** Of a text that is refused so much is shown, in characters. */
const MAX_QUOTED = 100

/** Where one tensor lies. `begin` and `end` are byte offsets from the end of the header. */
export interface TensorInfo {
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly metadata: Readonly<Record<string, string>>
}

/**
 * Length of the JSON header, from the first eight bytes.
 *
 * @param available bytes in the whole file or message
 * @throws {InvalidTensorError} if they are not there or announce more than there is
 */
export function headerLength (prefix: Uint8Array, available: number): number {
  if (prefix.byteLength < PREFIX_BYTES) {
    throw new InvalidTensorError(`safetensors: ${prefix.byteLength} bytes, at least ${PREFIX_BYTES} are needed`)
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true)
  if (length < 2n || length > BigInt(MAX_HEADER_BYTES) || length > BigInt(available - PREFIX_BYTES)) {
    throw new InvalidTensorError(`safetensors: a header of ${length.toString()} bytes is announced in ${available} bytes; the file is truncated or not safetensors`)
  }
  return Number(length)
}

/**
 * Checks the JSON header against the bytes that follow it: known dtypes, shapes that match the offsets,
 * offsets that cover the data without gap or overlap.
 *
 * @param dataBytes bytes after the header
 * @throws {InvalidTensorError}
 */
export function parseHeader (json: Uint8Array, dataBytes: number): SafetensorsHeader {
  checkBrackets(json)
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
  } catch (cause) {
    throw new InvalidTensorError('safetensors: the header is not JSON', { cause })
  }
  if (!isRecord(parsed)) throw new InvalidTensorError('safetensors: the header is not a JSON object')
  const { __metadata__: rawMetadata, ...entries } = parsed
  const tensors = new Map<string, TensorInfo>()
  for (const [name, entry] of Object.entries(entries)) tensors.set(name, parseInfo(name, entry, dataBytes))
  checkCover(tensors, dataBytes)
  return { tensors, metadata: parseMetadata(rawMetadata) }
}

/**
 * Values of one tensor from its bytes, as float32 or int32.
 *
 * @throws {InvalidTensorError} if its dtype is none of those we read, or an I64 does not fit in 32 bits
 */
export function decodeValues (name: string, info: Pick<TensorInfo, 'dtype' | 'shape'>, bytes: Uint8Array): TensorData {
  const aligned = bytes.byteOffset % ITEM_BYTES[info.dtype] === 0 ? bytes : new Uint8Array(bytes) // a Buffer's slice would be a view
  const { buffer, byteOffset, byteLength } = aligned
  const count = byteLength / ITEM_BYTES[info.dtype]
  switch (info.dtype) {
    case 'F32': return { shape: info.shape, values: new Float32Array(buffer, byteOffset, count) }
    case 'I32': return { shape: info.shape, values: new Int32Array(buffer, byteOffset, count) }
    case 'F16': return { shape: info.shape, values: fromFloat16(new Uint16Array(buffer, byteOffset, count)) }
    case 'BF16': return { shape: info.shape, values: fromBfloat16(new Uint16Array(buffer, byteOffset, count)) }
    case 'I64': return { shape: info.shape, values: narrow(name, new BigInt64Array(buffer, byteOffset, count)) }
    default: throw new InvalidTensorError(`${name}: dtype ${info.dtype} is not supported; use one of ${Object.keys(READ_BYTES).join(', ')}`)
  }
}

/**
 * All tensors of a safetensors message. Values may be views of `bytes`.
 *
 * @throws {InvalidTensorError} if anything in it does not hold together
 */
export function decodeSafetensors (bytes: Uint8Array): { tensors: NamedTensors, metadata: Readonly<Record<string, string>> } {
  const { tensors, metadata } = splitEncoded(bytes)
  return { tensors: new Map(tensors.map(tensor => [tensor.name, decodeValues(tensor.name, tensor, tensor.bytes)])), metadata }
}

/** A tensor whose values are bytes. */
export interface EncodedTensor extends Pick<TensorInfo, 'dtype' | 'shape'> {
  readonly name: string
  readonly bytes: Uint8Array
}

/** As `decodeSafetensors`, but that values stay the bytes that they are, which are views. */
export function splitEncoded (bytes: Uint8Array): { tensors: EncodedTensor[], metadata: Readonly<Record<string, string>> } {
  const start = PREFIX_BYTES + headerLength(bytes.subarray(0, PREFIX_BYTES), bytes.byteLength)
  const { tensors, metadata } = parseHeader(bytes.subarray(PREFIX_BYTES, start), bytes.byteLength - start)
  return { tensors: [...tensors].map(([name, { dtype, shape, begin, end }]) => ({ name, dtype, shape, bytes: bytes.subarray(start + begin, start + end) })), metadata }
}

export interface EncodeOptions {
  readonly metadata?: Readonly<Record<string, string>>
  readonly allocate?: (bytes: number) => Uint8Array
}

/**
 * Writes tensors in the order given, floats as `dtype` (default F32), integers as I32. The header is padded with
 * spaces so that the data begin at a multiple of eight, as the reference implementation does. All of the memory that
 * `allocate` gives, which may hold anything, is written.
 */
export function encodeSafetensors (tensors: NamedTensors, options: EncodeOptions & { readonly dtype?: FloatDtype } = {}): Uint8Array {
  return joinEncoded([...tensors].map(([name, { shape, values }]) => {
    const dtype = values instanceof Int32Array ? 'I32' : options.dtype ?? 'F32'
    return { name, dtype, shape, bytes: valueBytes(values, dtype) }
  }), options)
}

/** As `encodeSafetensors`, of values that are bytes already. */
export function joinEncoded (tensors: readonly EncodedTensor[], { metadata, allocate }: EncodeOptions = {}): Uint8Array {
  const header: Array<[string, unknown]> = metadata === undefined ? [] : [['__metadata__', metadata]]
  let end = 0
  for (const { name, dtype, shape, bytes } of tensors) header.push([name, { dtype, shape, data_offsets: [end, end += bytes.byteLength] }])
  const start = encodeHeader(header)
  const size = start.byteLength + end
  const out = allocate?.(size) ?? new Uint8Array(size)
  out.set(start)
  let offset = start.byteLength
  for (const { bytes } of tensors) {
    out.set(bytes, offset)
    offset += bytes.byteLength
  }
  return out
}

/** What comes before the values: the length of the header, and the header, padded with spaces. */
export function encodeHeader (entries: ReadonlyArray<readonly [name: string, entry: unknown]>): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  const padded = Math.ceil(text.byteLength / 8) * 8
  const start = new Uint8Array(PREFIX_BYTES + padded).fill(0x20, PREFIX_BYTES)
  new DataView(start.buffer).setBigUint64(0, BigInt(padded), true)
  start.set(text, PREFIX_BYTES)
  return start
}

/** The tensor of that name, as floats. @throws {InvalidTensorError} if it is missing or holds integers */
export function floatTensor (tensors: NamedTensors, name: string): TensorData<Float32Array> {
  const { shape, values } = tensorNamed(tensors, name)
  if (!(values instanceof Float32Array)) throw new InvalidTensorError(`${name}: holds integers, floats (F32, F16, BF16) are needed`)
  return { shape, values }
}

/** The tensor of that name, as integers. @throws {InvalidTensorError} if it is missing or holds floats */
export function intTensor (tensors: NamedTensors, name: string): TensorData<Int32Array> {
  const { shape, values } = tensorNamed(tensors, name)
  if (!(values instanceof Int32Array)) throw new InvalidTensorError(`${name}: holds floats, integers (I64, I32) are needed`)
  return { shape, values }
}

function tensorNamed (tensors: NamedTensors, name: string): TensorData {
  const tensor = tensors.get(name)
  if (tensor === undefined) throw new InvalidTensorError(`no tensor ${name}; there are: ${[...tensors.keys()].slice(0, 8).join(', ')}`)
  return tensor
}

/** Values in the bytes of a dtype. */
export function valueBytes (values: TensorValues, dtype: FloatDtype | 'I32'): Uint8Array {
  const stored = values instanceof Float32Array && dtype === 'BF16'
    ? toBfloat16(values)
    : values instanceof Float32Array && dtype === 'F16' ? toFloat16(values) : values
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
}

/** What a tensor takes, in bytes. */
export function sizeInBytes ({ dtype, shape }: Pick<TensorInfo, 'dtype' | 'shape'>): number {
  return shape.reduce((product, size) => product * size, ITEM_BYTES[dtype])
}

/**
 * Lists and objects of a header, before any of them is made: to read a bracket takes a hundred times as long as to see it, and as much
 * memory. Those within texts are not counted.
 */
function checkBrackets (json: Uint8Array): void {
  const most = 3 + json.byteLength / MIN_BYTES_BY_BRACKET
  let [depth, count, quoted] = [0, 0, false]
  for (let i = 0; i < json.byteLength; i++) {
    const byte = json[i]
    if (byte === QUOTE) quoted = !quoted
    else if (quoted) i += byte === BACKSLASH ? 1 : 0
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH || ++count > most) throw new InvalidTensorError(`safetensors: the header has more than ${MAX_DEPTH} lists and objects within each other, or more of them than tensors have`)
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--
  }
}

function parseInfo (name: string, entry: unknown, dataBytes: number): TensorInfo {
  if (!isRecord(entry)) throw new InvalidTensorError(`${name}: its header entry is not an object`)
  const { dtype, shape, data_offsets: offsets } = entry
  if (!isDtype(dtype)) {
    throw new InvalidTensorError(`${name}: dtype ${quoted(dtype)} is none of safetensors' own: ${Object.keys(ITEM_BYTES).join(', ')}`)
  }
  if (!isSizes(shape) || shape.length > MAX_RANK) throw new InvalidTensorError(`${name}: ${quoted(shape)} is not a shape`)
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw new InvalidTensorError(`${name}: data_offsets ${quoted(offsets)} are not two byte offsets`)
  }
  const [begin, end] = offsets
  if (begin > end || end > dataBytes) {
    throw new InvalidTensorError(`${name}: data_offsets [${begin}, ${end}] lie outside the ${dataBytes} bytes that are there; the file is truncated or damaged`)
  }
  const bytes = sizeInBytes({ dtype, shape })
  if (bytes !== end - begin) {
    throw new InvalidTensorError(`${name}: ${dtype} [${shape.join(', ')}] takes ${bytes} bytes, its data_offsets give ${end - begin}`)
  }
  return { dtype, shape, begin, end }
}

function parseMetadata (metadata: unknown): Record<string, string> {
  if (metadata === undefined) return {}
  if (!isRecord(metadata)) throw new InvalidTensorError('safetensors: __metadata__ is not an object')
  return Object.fromEntries(Object.entries(metadata).map(([key, value]) => {
    if (typeof value !== 'string') throw new InvalidTensorError(`safetensors: __metadata__.${key} is not a string`)
    return [key, value]
  }))
}

/** No byte belongs to two tensors, none to no tensor (the format forbids holes). */
function checkCover (tensors: ReadonlyMap<string, TensorInfo>, dataBytes: number): void {
  let reached = 0
  for (const [name, info] of [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)) {
    if (info.begin !== reached) throw new InvalidTensorError(`${name}: begins at byte ${info.begin}, the tensor before it ends at ${reached}`)
    reached = info.end
  }
  if (reached !== dataBytes) throw new InvalidTensorError(`safetensors: ${dataBytes} bytes of data, the header accounts for ${reached}`)
}

function narrow (name: string, wide: BigInt64Array): Int32Array {
  const values = new Int32Array(wide.length)
  for (let i = 0; i < wide.length; i++) {
    const value = Number(wide[i])
    if (value !== (value | 0)) throw new InvalidTensorError(`${name}: ${value} does not fit in 32 bits`)
    values[i] = value
  }
  return values
}

/** What was found, as far as it can be shown: it may be of any length, and within itself deeper than a stack. */
function quoted (value: unknown): string {
  if (Array.isArray(value)) return value.length > MAX_RANK ? `a list of ${value.length}` : `[${value.map(each => Array.isArray(each) ? '[…]' : quoted(each)).join(', ')}]`
  if (typeof value === 'string') return JSON.stringify(value.length > MAX_QUOTED ? `${value.slice(0, MAX_QUOTED)}…` : value)
  return isRecord(value) ? 'an object' : String(value)
}

function isRecord (value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isDtype (value: unknown): value is SafetensorsDtype {
  return typeof value === 'string' && Object.hasOwn(ITEM_BYTES, value)
}

function isSizes (value: unknown): value is number[] {
  return Array.isArray(value) && value.every(size => Number.isSafeInteger(size) && (size as number) >= 0)
}
