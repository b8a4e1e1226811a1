/** Conversions between float32 and the 16-bit floats that files and the wire use. Little-endian hosts only, like safetensors. */

/** bfloat16: the upper half of a float32, rounded to nearest even. NaN stays NaN. */
export function toBfloat16 (values: Float32Array): Uint16Array {
  const bits = bitsOf(values)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i]
    halves[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
  }
  return halves
}

/** Exact: every bfloat16 is a float32. */
export function fromBfloat16 (halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length)
  const bits = bitsOf(values)
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16
  return values
}

/** Values that are scaled at once: few enough to stay in the processor's nearest memory. */
const BLOCK = 1024

/**
 * IEEE 754 binary16, rounded to nearest even; beyond its range infinite.
 *
 * @param scale a power of two that the values are multiplied by before
 */
export function toFloat16 (values: Float32Array, scale = 1): Uint16Array {
  const halves = new Uint16Array(values.length)
  const scaled = new Float32Array(BLOCK)
  const bits = bitsOf(scaled)
  for (let begin = 0; begin < values.length; begin += BLOCK) {
    const count = Math.min(BLOCK, values.length - begin)
    for (let i = 0; i < count; i++) scaled[i] = values[begin + i] * scale
    for (let i = 0; i < count; i++) halves[begin + i] = float16Bits(bits[i])
  }
  return halves
}

/**
 * Exact without a scale: every binary16 is a float32.
 *
 * @param scale a power of two that the values are multiplied by
 */
export function fromFloat16 (halves: Uint16Array, scale = 1): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length)
  const all = allFloat16()
  for (let i = 0; i < halves.length; i++) values[i] = all[halves[i]] * scale
  return values
}

/** The bits of float32 values, which change with them. */
export function bitsOf ({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length)
}

function float16Bits (bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // rounds beyond 65504
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
  const shift = 126 - (magnitude >>> 23) // subnormal in binary16: in units of 2^-24
  if (shift > 24) return sign // less than half of one
  const significand = (magnitude & 0x7fffff) | 0x800000
  return sign | ((significand + (1 << (shift - 1)) - 1 + ((significand >>> shift) & 1)) >>> shift)
}

let float16: Float32Array | undefined

/** What each of the patterns stands for: to look one up takes a quarter of the time that it takes to compute it. */
function allFloat16 (): Float32Array {
  if (float16 === undefined) {
    float16 = new Float32Array(1 << 16)
    const bits = bitsOf(float16)
    for (let half = 0; half < float16.length; half++) {
      const sign = (half & 0x8000) << 16
      const exponent = (half >>> 10) & 0x1f
      const fraction = half & 0x3ff
      if (exponent === 0) float16[half] = (sign === 0 ? 1 : -1) * fraction * 2 ** -24 // zero and subnormals
      else bits[half] = sign | (exponent === 31 ? 0x7f800000 : (exponent + 112) << 23) | (fraction << 13)
    }
  }
  return float16
}
