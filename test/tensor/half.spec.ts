import { expect } from 'chai'
import { fromBfloat16, fromFloat16, toBfloat16, toFloat16 } from '../../src/tensor/half.js'
import { seeded } from '../merge/random.js'

interface Format {
  readonly name: string
  readonly exponentBits: number
  readonly fractionBits: number
  readonly to: (values: Float32Array) => Uint16Array
  readonly from: (halves: Uint16Array) => Float32Array
}

const FORMATS: readonly Format[] = [
  { name: 'binary16', exponentBits: 5, fractionBits: 10, to: toFloat16, from: fromFloat16 },
  { name: 'bfloat16', exponentBits: 8, fractionBits: 7, to: toBfloat16, from: fromBfloat16 }
]

const SIGN = 0x8000
const PATTERNS = Uint16Array.from({ length: 2 ** 16 }, (_, pattern) => pattern)

/** The least pattern that is no number: infinity. */
const infinity = ({ exponentBits, fractionBits }: Format): number => (2 ** exponentBits - 1) * 2 ** fractionBits

/** What a pattern without a sign stands for, from the definition of IEEE 754; infinity as the power of two that it follows. */
function magnitude ({ exponentBits, fractionBits }: Format, pattern: number): number {
  const bias = 2 ** (exponentBits - 1) - 1
  const exponent = pattern >>> fractionBits
  const fraction = (pattern % 2 ** fractionBits) / 2 ** fractionBits
  return exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias)
}

/** The nearest pattern of a number, of two the even one: found by halving, in double precision, where all of it is exact. */
function nearest (format: Format, value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? SIGN : 0
  let [below, above] = [0, infinity(format)]
  if (Math.abs(value) >= magnitude(format, above)) return sign | above
  while (above - below > 1) {
    const middle = (below + above) >>> 1
    if (magnitude(format, middle) <= Math.abs(value)) below = middle
    else above = middle
  }
  const [down, up] = [Math.abs(value) - magnitude(format, below), magnitude(format, above) - Math.abs(value)]
  return sign | (down < up || (down === up && below % 2 === 0) ? below : above)
}

/** The float32 beside a positive one. */
function beside (value: number, ulps: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer)
  bits[0] += ulps
  return new Float32Array(bits.buffer)[0]
}

/** Those of the values that do not become what they should, for people in hex. */
function wrong (format: Format, values: Float32Array): string[] {
  const halves = format.to(values)
  return [...halves].flatMap((half, i) => {
    const expected = nearest(format, values[i])
    return half === expected ? [] : [`${values[i]} became ${half.toString(16)}, the nearest is ${expected.toString(16)}`]
  })
}

describe('tensor: 16-bit floats', () => {
  for (const format of FORMATS) {
    const { name, to, from } = format
    const inf = infinity(format)

    it(`reads every pattern of ${name} as its definition says`, () => {
      const read = from(PATTERNS)
      const differing = [...PATTERNS].filter(pattern => {
        const unsigned = pattern & ~SIGN
        if (unsigned > inf) return !Number.isNaN(read[pattern])
        return !Object.is(read[pattern], (pattern >= SIGN ? -1 : 1) * (unsigned === inf ? Infinity : magnitude(format, unsigned)))
      })
      expect(differing).to.be.empty
    })

    it(`writes every number of ${name} as it was read`, () => {
      const numbers = PATTERNS.filter(pattern => (pattern & ~SIGN) <= inf)
      expect(numbers).to.have.lengthOf(2 * (inf + 1))
      expect(to(from(numbers))).to.deep.equal(numbers)
    })

    it(`rounds to the nearest ${name}, halfway to the even one, right up to infinity`, () => {
      const halfway = Float32Array.from({ length: inf }, (_, pattern) => (magnitude(format, pattern) + magnitude(format, pattern + 1)) / 2)
      const around = [halfway, halfway.map(value => beside(value, 1)), halfway.map(value => beside(value, -1))]
      for (const values of around) {
        expect(wrong(format, values)).to.be.empty
        expect(wrong(format, values.map(value => -value))).to.be.empty
      }
    })

    it(`rounds any float32 to the nearest ${name}`, () => {
      const random = seeded(16)
      const bits = Uint32Array.from({ length: 100_000 }, () => random() * 2 ** 32)
      expect(wrong(format, new Float32Array(bits.buffer).filter(value => !Number.isNaN(value)))).to.be.empty
    })

    it(`keeps NaN a NaN in ${name}, whichever of its bits are set`, () => {
      const nans = Array.from({ length: 23 }, (_, bit) => 0x7f800000 + 2 ** bit)
      const bits = Uint32Array.from([...nans, ...nans.map(nan => nan + 2 ** 31), 0x7fffffff, 0xffffffff])
      expect([...from(to(new Float32Array(bits.buffer)))].every(Number.isNaN)).to.be.true
      expect([...from(to(from(PATTERNS.filter(pattern => (pattern & ~SIGN) > inf))))].every(Number.isNaN)).to.be.true
    })

    it(`keeps infinities and signed zeros in ${name}`, () => {
      expect([...to(Float32Array.of(0, -0, Infinity, -Infinity))]).to.deep.equal([0, SIGN, inf, SIGN | inf])
    })

    it(`takes views and nothing at all, ${name}`, () => {
      const view = Float32Array.of(7, 1, -2, 7).subarray(1, 3)
      expect([...from(to(view))]).to.deep.equal([1, -2])
      expect([...from(PATTERNS.subarray(SIGN, SIGN + 1))]).to.deep.equal([-0])
      expect(to(new Float32Array(0))).to.deep.equal(new Uint16Array(0))
      expect(from(new Uint16Array(0))).to.deep.equal(new Float32Array(0))
    })
  }
})
