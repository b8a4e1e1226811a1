import { expect } from 'chai'
import { joinEncoded, type SafetensorsDtype, splitEncoded } from '../../src/tensor/safetensors.js'
import { decodeScaled, encodeScaled } from '../../src/tensor/scaled-message.js'
import { seeded } from '../merge/random.js'

type Entry = readonly [name: string, dtype: SafetensorsDtype, shape: readonly number[], bytes: Uint8Array]

/** The exponents of the least float32, of the least that is not subnormal, of 1 and of the largest. */
const EXPONENTS = [-149, -127, -126, 0, 127]

function message (entries: readonly Entry[]): Uint8Array {
  return joinEncoded(entries.map(([name, dtype, shape, bytes]) => ({ name, dtype, shape, bytes })))
}

function sent (values: Float32Array): { exponent: number, arrived: Float32Array } {
  const bytes = encodeScaled(new Map([['t', { shape: [values.length], values }]]))
  const exponent = splitEncoded(bytes).tensors.find(({ name }) => name === 'exponent.t')!
  return { exponent: new DataView(exponent.bytes.slice().buffer).getInt32(0, true), arrived: decodeScaled(bytes).tensors.get('t')!.values as Float32Array }
}

/** What binary16 has of a value, from the definition: 11 bits of it, or as many as are above 2^-24; halfway to the even one. */
function nearest (value: number): number {
  const size = Math.abs(value)
  let unit = 2 ** -24
  while (size >= 2 ** 11 * unit) unit *= 2 // 2^10 <= size / unit < 2^11, or less where it is subnormal
  const [floor, rest] = [Math.floor(size / unit), size / unit % 1]
  return Math.sign(value) * (floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0)) * unit
}

/** Of the order of 2^exponent and less, both signs, some of them zeros and powers of two. */
function valuesBelow (exponent: number, seed: number): Float32Array {
  const random = seeded(seed)
  return Float32Array.from({ length: 5_000 }, (_, i) => {
    const size = (i % 5 === 0 ? 1 : 1 + random()) * 2 ** (exponent - Math.floor(random() ** 2 * 50))
    return i % 7 === 0 ? 0 : (random() < 0.5 ? -1 : 1) * size
  })
}

describe('tensor: messages in binary16', () => {
  for (const exponent of EXPONENTS) {
    it(`have of values up to 2^${exponent} what binary16 has of them times one power of two`, () => {
      const values = valuesBelow(exponent, exponent + 200)
      const { exponent: told, arrived } = sent(values)
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      expect(largest * 2 ** -told).to.be.at.least(2 ** 14).and.below(2 ** 15)
      expect(arrived).to.deep.equal(values.map(value => nearest(value * 2 ** -told) * 2 ** told))
    })
  }

  it('are within 2^-11 of each value, or 2^-39 of the largest', () => {
    for (const exponent of [-60, -20, 3, 100]) {
      const values = valuesBelow(exponent, 7)
      const { arrived } = sent(values)
      const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
      const wrong = values.filter((value, i) => Math.abs(arrived[i] - value) > Math.max(2 ** -11 * Math.abs(value), 2 ** -39 * largest))
      expect(wrong).to.deep.equal(new Float32Array(0))
    }
  })

  it('have values of which binary16 itself has none or all too few digits', () => {
    const small = valuesBelow(-30, 3)
    const errors = sent(small).arrived.map((value, i) => small[i] === 0 ? 0 : Math.abs(value / small[i] - 1))
    expect(Math.max(...errors.filter((_, i) => Math.abs(small[i]) > 2 ** -50))).to.be.at.most(2 ** -11)
    expect(small.every(value => nearest(value) === 0)).to.equal(true)
  })

  it('arrive as they were sent where binary16 has them, whatever the power of two, and round up to the next one', () => {
    for (const exponent of EXPONENTS) {
      const exact = Float32Array.from({ length: 2 ** 11 }, (_, i) => i * 2 ** Math.max(exponent - 10, -149))
      expect(sent(exact).arrived).to.deep.equal(exact)
    }
    expect(sent(Float32Array.of(2 ** -30, 1 - 2 ** -24)).arrived).to.deep.equal(Float32Array.of(2 ** -30, 1))
    expect(sent(Float32Array.of((2 - 2 ** -23) * 2 ** 127)).arrived).to.deep.equal(Float32Array.of(Infinity)) // as float32 has no 2^128
  })

  it('leave zeros, their signs, nothing at all and integers as they are', () => {
    for (const values of [Float32Array.of(0, -0, 0), new Float32Array(0)]) expect(sent(values)).to.deep.equal({ exponent: 0, arrived: values })
    expect(Object.is(sent(Float32Array.of(0, -0)).arrived[1], -0)).to.equal(true)
    const integers = { shape: [3], values: Int32Array.of(1, -(2 ** 31), 70_000) }
    const { tensors, metadata } = decodeScaled(encodeScaled(new Map([['x', integers]]), { metadata: { a: 'b' } }))
    expect([...tensors]).to.deep.equal([['x', integers]])
    expect(metadata).to.deep.equal({ a: 'b' })
  })

  it('say of what is not finite that it is not', () => {
    for (const wrong of [NaN, Infinity, -Infinity]) expect(sent(Float32Array.of(1, wrong, 2 ** -20)).arrived[1]).to.deep.equal(wrong)
  })

  it('are refused where floats have not their exponent', () => {
    const exponent = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer)
    const good: readonly [Entry, Entry] = [['exponent.t', 'I32', [], exponent(3)], ['t', 'F16', [1], new Uint8Array([0, 0x3c])]]
    expect([...decodeScaled(message(good)).tensors]).to.deep.equal([['t', { shape: [1], values: Float32Array.of(8) }]])
    expect(decodeScaled(message([good[1], good[0]])).tensors.size).to.equal(1)
    const wrong: ReadonlyArray<readonly Entry[]> = [
      [good[1]],
      [good[0]],
      [['exponent.s', 'I32', [], exponent(3)], good[1]],
      [['exponent.t', 'I32', [1], exponent(3)], good[1]],
      [['exponent.t', 'F32', [], exponent(3)], good[1]],
      [['exponent.t', 'I32', [], exponent(-164)], good[1]],
      [['exponent.t', 'I32', [], exponent(114)], good[1]],
      [good[0], ['t', 'BF16', [1], new Uint8Array(2)]],
      [good[0], ['t', 'F32', [1], new Uint8Array(4)]],
      [good[0], ['t', 'I32', [1], new Uint8Array(4)]],
      [...good, ['more', 'F16', [1], new Uint8Array(2)]],
      [...good, ['exponent.more', 'I32', [], exponent(0)]]
    ]
    for (const [i, entries] of wrong.entries()) expect(() => decodeScaled(message(entries)), String(i)).to.throw().with.property('name', 'InvalidTensorError')
  })
})
