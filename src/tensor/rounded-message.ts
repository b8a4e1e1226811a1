import { InvalidTensorError } from '../errors.js'
import type { FloatTensor, NamedTensors } from '../types.js'
import { BLOCK, blocksOf, dequantize } from './quantize.js'
import type { Round } from './remainders.js'
import { encodeHeader, headerLength, parseHeader, PREFIX_BYTES, type TensorInfo } from './safetensors.js'

/** Before the name of a tensor, that of the scales of its blocks. */
const SCALES = 'scales.'

/**
 * Tensors in 8 bits, as safetensors: of each its codes, I8 in its shape, and under `scales.<name>` a float32 for each block of 64
 * values, see `quantize.ts`. Scales come first, so that they are aligned.
 */
export function encodeRounded (tensors: NamedTensors<Float32Array>, round: Round, allocate: (bytes: number) => Uint8Array = size => new Uint8Array(size)): Uint8Array {
  const rounded = [...tensors].map(([name, { shape, values }]) => ({ name, shape, count: values.length, ...round(name, values) }))
  const parts = [
    ...rounded.map(({ name, scales }) => ({ name: SCALES + name, dtype: 'F32', shape: [scales.length], bytes: new Uint8Array(scales.buffer) })),
    ...rounded.map(({ name, shape, count, codes }) => ({ name, dtype: 'I8', shape, bytes: codes.subarray(0, count) }))
  ]
  let size = 0
  const placed = parts.map(part => {
    const begin = size
    size += part.bytes.byteLength
    return { ...part, begin, end: size }
  })
  const start = encodeHeader(placed.map(({ name, dtype, shape, begin, end }) => [name, { dtype, shape, data_offsets: [begin, end] }]))
  const out = allocate(start.byteLength + size)
  out.set(start)
  for (const { bytes, begin } of placed) out.set(bytes, start.byteLength + begin)
  return out
}

/**
 * The tensors of such a message, as float32.
 *
 * @throws {InvalidTensorError} if the bytes are not such a message, or scales are missing or too many
 */
export function decodeRounded (bytes: Uint8Array): NamedTensors<Float32Array> {
  const start = PREFIX_BYTES + headerLength(bytes.subarray(0, PREFIX_BYTES), bytes.byteLength)
  const { tensors } = parseHeader(bytes.subarray(PREFIX_BYTES, start), bytes.byteLength - start)
  const bytesAt = ({ begin, end }: TensorInfo): Uint8Array<ArrayBuffer> => new Uint8Array(bytes.subarray(start + begin, start + end))
  const codes = [...tensors].filter(([, { dtype }]) => dtype === 'I8')
  if (2 * codes.length !== tensors.size) throw new InvalidTensorError(`${codes.length} of ${tensors.size} tensors are I8; half of them must be, each with its scales`)
  return new Map(codes.map(([name, info]): [string, FloatTensor] => {
    const count = info.end - info.begin
    const scales = tensors.get(SCALES + name)
    if (scales?.dtype !== 'F32' || scales.shape.join() !== String(blocksOf(count))) {
      throw new InvalidTensorError(`${name} has ${scales === undefined ? 'no scales' : `scales ${scales.dtype} [${scales.shape.join(', ')}]`}, they must be F32 [${blocksOf(count)}]`)
    }
    const padded = new Uint8Array(blocksOf(count) * BLOCK)
    padded.set(bytesAt(info))
    return [name, { shape: info.shape, values: dequantize('int8', { codes: padded, scales: new Float32Array(bytesAt(scales).buffer) }, count) }]
  }))
}
