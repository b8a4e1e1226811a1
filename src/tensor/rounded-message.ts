import { InvalidTensorError } from '../errors.js'
import type { FloatTensor, NamedTensors } from '../types.js'
import { BLOCK, blocksOf, dequantize } from './quantize.js'
import type { Round } from './remainders.js'
import { type EncodeOptions, joinEncoded, splitEncoded } from './safetensors.js'

/** Before the name of a tensor, that of the scales of its blocks. */
const SCALES = 'scales.'

/**
 * Tensors in 8 bits, as safetensors: of each its codes, I8 in its shape, and under `scales.<name>` a float32 for each block of 64
 * values, see `quantize.ts`. Scales come first, so that they are aligned.
 */
export function encodeRounded (tensors: NamedTensors<Float32Array>, round: Round, options?: EncodeOptions): Uint8Array {
  const rounded = [...tensors].map(([name, { shape, values }]) => ({ name, shape, count: values.length, ...round(name, values) }))
  return joinEncoded([
    ...rounded.map(({ name, scales }) => ({ name: SCALES + name, dtype: 'F32', shape: [scales.length], bytes: new Uint8Array(scales.buffer) } as const)),
    ...rounded.map(({ name, shape, count, codes }) => ({ name, dtype: 'I8', shape, bytes: codes.subarray(0, count) } as const))
  ], options)
}

/**
 * The tensors of such a message, as float32.
 *
 * @throws {InvalidTensorError} if the bytes are not such a message, or scales are missing or too many
 */
export function decodeRounded (bytes: Uint8Array): NamedTensors<Float32Array> {
  const { tensors } = splitEncoded(bytes)
  const byName = new Map(tensors.map(tensor => [tensor.name, tensor]))
  const codes = tensors.filter(({ dtype }) => dtype === 'I8')
  if (2 * codes.length !== tensors.length) throw new InvalidTensorError(`${codes.length} of ${tensors.length} tensors are I8; half of them must be, each with its scales`)
  return new Map(codes.map(({ name, shape, bytes }): [string, FloatTensor] => {
    const count = bytes.byteLength
    const scales = byName.get(SCALES + name)
    if (scales?.dtype !== 'F32' || scales.shape.join() !== String(blocksOf(count))) {
      throw new InvalidTensorError(`${name} has ${scales === undefined ? 'no scales' : `scales ${scales.dtype} [${scales.shape.join(', ')}]`}, they must be F32 [${blocksOf(count)}]`)
    }
    const padded = new Uint8Array(blocksOf(count) * BLOCK)
    padded.set(bytes)
    return [name, { shape, values: dequantize('int8', { codes: padded, scales: new Float32Array(new Uint8Array(scales.bytes).buffer) }, count) }]
  }))
}
