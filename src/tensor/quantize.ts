/**
 * Values in 8 or 4 bits, each block of 64 in their order with a scale of its own. `int8` has equal steps: round(127·x /
 * absmax), as 8-bit quantisation by absmax in bitsandbytes (arXiv 2208.07339, section 2). `nf4` has the 16 values of
 * QLoRA (arXiv 2305.14314, appendix E), which a normal distribution falls on equally often; two stand in a byte, the first
 * in its upper half. Scales are float32, and are not quantised again.
 */
export const QUANTIZATIONS = ['int8', 'nf4'] as const
export type Quantization = typeof QUANTIZATIONS[number]

/** Values that have one scale. */
export const BLOCK = 64

/** Bits of one value, without its share of a scale. */
export const QUANTIZED_BITS: Readonly<Record<Quantization, number>> = { int8: 8, nf4: 4 }

/** Of `int8`; what is left out of 8 bits has no counterpart. */
const MAX_CODE = 127

/** What codes of `nf4` stand for. */
export const NF4_VALUES = Float32Array.of(
  -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
  0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1
)

/** Code k is the nearest above the middle between k - 1 and k. */
const NF4_MIDDLES = Float64Array.from(NF4_VALUES.subarray(1), (value, i) => (value + NF4_VALUES[i]) / 2)

const NF4_ZERO = NF4_VALUES.indexOf(0)

/** Adding it, and taking it away again, rounds to the nearest integer, to even in the middle. */
const ROUNDING = 1.5 * 2 ** 52

export interface Quantized {
  /** As they lie in a file. The last block is filled up with zeros. */
  readonly codes: Uint8Array<ArrayBuffer>
  /** `[blocks]`; of `int8` absmax / 127, so that they are the step, of `nf4` absmax. */
  readonly scales: Float32Array<ArrayBuffer>
}

/** @param values finite */
export function quantize (kind: Quantization, values: Float32Array): Quantized {
  return kind === 'int8' ? quantizeInt8(values) : quantizeNf4(values)
}

/** What they stand for, as float32. @param count of values */
export function dequantize (kind: Quantization, { codes, scales }: Quantized, count: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(blocksOf(count) * BLOCK)
  if (kind === 'int8') dequantizeInt8(new Int8Array(codes.buffer, codes.byteOffset, codes.byteLength), scales, values)
  else dequantizeNf4(codes, scales, values)
  return values.length === count ? values : values.slice(0, count)
}

/** Blocks of so many values. */
export function blocksOf (count: number): number {
  return Math.ceil(count / BLOCK)
}

function quantizeInt8 (values: Float32Array): Quantized {
  const blocks = blocksOf(values.length)
  const codes = new Int8Array(blocks * BLOCK)
  const scales = new Float32Array(blocks)
  for (let block = 0; block < blocks; block++) {
    const [begin, end] = range(block, values)
    const scale = Math.fround(absmax(values, begin, end) / MAX_CODE)
    scales[block] = scale
    if (scale === 0) continue // of zeros, or of what is so small that no float32 is a step of it
    for (let i = begin; i < end; i++) {
      const code = (Math.fround(values[i] / scale) + ROUNDING) - ROUNDING
      codes[i] = Math.max(-MAX_CODE, Math.min(MAX_CODE, code))
    }
  }
  return { codes: new Uint8Array(codes.buffer), scales }
}

function quantizeNf4 (values: Float32Array): Quantized {
  const blocks = blocksOf(values.length)
  const codes = new Uint8Array(blocks * BLOCK / 2).fill(NF4_ZERO << 4 | NF4_ZERO)
  const scales = new Float32Array(blocks)
  for (let block = 0; block < blocks; block++) {
    const [begin, end] = range(block, values)
    const scale = absmax(values, begin, end)
    scales[block] = scale
    if (scale === 0) continue
    for (let i = begin; i < end; i += 2) {
      const first = nearestNf4(Math.fround(values[i] / scale))
      const second = i + 1 < end ? nearestNf4(Math.fround(values[i + 1] / scale)) : NF4_ZERO
      codes[i >>> 1] = first << 4 | second
    }
  }
  return { codes, scales }
}

function dequantizeInt8 (codes: Int8Array, scales: Float32Array, values: Float32Array): void {
  for (const [block, scale] of scales.entries()) {
    const end = (block + 1) * BLOCK
    for (let i = block * BLOCK; i < end; i++) values[i] = codes[i] * scale
  }
}

function dequantizeNf4 (codes: Uint8Array, scales: Float32Array, values: Float32Array): void {
  for (const [block, scale] of scales.entries()) {
    const end = (block + 1) * BLOCK
    for (let i = block * BLOCK; i < end; i += 2) {
      const pair = codes[i / 2]
      values[i] = NF4_VALUES[pair >>> 4] * scale
      values[i + 1] = NF4_VALUES[pair & 15] * scale
    }
  }
}

/** By halves, as the values are sorted. */
function nearestNf4 (value: number): number {
  let code = value > NF4_MIDDLES[7] ? 8 : 0
  if (value > NF4_MIDDLES[code + 3]) code += 4
  if (value > NF4_MIDDLES[code + 1]) code += 2
  return value > NF4_MIDDLES[code] ? code + 1 : code
}

function range (block: number, { length }: Float32Array): [begin: number, end: number] {
  return [block * BLOCK, Math.min(length, (block + 1) * BLOCK)]
}

function absmax (values: Float32Array, begin: number, end: number): number {
  let most = 0
  for (let i = begin; i < end; i++) most = Math.max(most, Math.abs(values[i]))
  return most
}
