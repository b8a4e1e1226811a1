/** Conversions between float32 and the 16-bit floats that files and the wire use. Little-endian hosts only, like safetensors. */

const word = new Uint32Array(1)
const float = new Float32Array(word.buffer)

/** bfloat16: the upper half of a float32, rounded to nearest even. NaN stays NaN. */
export function toBfloat16 (values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
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
  const bits = new Uint32Array(values.buffer)
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16
  return values
}

/** IEEE 754 binary16, rounded to nearest even; beyond its range infinite. */
export function toFloat16 (values: Float32Array): Uint16Array {
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) {
    float[0] = values[i]
    halves[i] = float16Bits(word[0])
  }
  return halves
}

/** Exact: every binary16 is a float32. */
export function fromFloat16 (halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(halves.length)
  const bits = new Uint32Array(values.buffer)
  for (let i = 0; i < halves.length; i++) {
    const sign = (halves[i] & 0x8000) << 16
    const exponent = (halves[i] >>> 10) & 0x1f
    const fraction = halves[i] & 0x3ff
    if (exponent === 0) {
      values[i] = (sign === 0 ? 1 : -1) * fraction * 2 ** -24 // zero and subnormals
    } else {
      bits[i] = sign | (exponent === 31 ? 0x7f800000 : (exponent + 112) << 23) | (fraction << 13)
    }
  }
  return values
}

function float16Bits (bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // rounds beyond 65504
  if (magnitude < 0x38800000) { // subnormal in binary16
    const scaled = Math.abs(float[0]) * 2 ** 24
    const floor = Math.floor(scaled)
    const rest = scaled - floor
    return sign | (floor + (rest > 0.5 || (rest === 0.5 && (floor & 1) === 1) ? 1 : 0))
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}
