import { expect } from 'chai'
import {
  decodeSafetensors, decodeValues, encodeSafetensors, floatTensor, headerLength, intTensor, parseHeader, PREFIX_BYTES
} from '../../src/tensor/safetensors.js'
import type { NamedTensors, TensorData } from '../../src/types.js'
import { seeded } from '../merge/random.js'

const SHAPES: ReadonlyArray<readonly number[]> = [[], [0], [1], [3], [0, 5], [5, 0, 2], [1, 1], [3, 5], [7, 1, 3], [2, 1, 2, 1, 2, 1, 2, 1]]

const product = (shape: readonly number[]): number => shape.reduce((all, size) => all * size, 1)

/** Halves of small whole numbers, which every float dtype holds exactly. */
function floats (shape: readonly number[], random = seeded(1)): TensorData {
  return { shape, values: Float32Array.from({ length: product(shape) }, () => Math.floor(random() * 200 - 100) / 2) }
}

function integers (shape: readonly number[], random = seeded(2)): TensorData {
  return { shape, values: Int32Array.from({ length: product(shape) }, () => random() * 2 ** 32) }
}

/** A message as its parts make it, right or wrong. */
function message (header: unknown, data: Uint8Array = new Uint8Array(0)): Buffer {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeBigUInt64LE(BigInt(json.byteLength))
  return Buffer.concat([prefix, json, data])
}

const bytesOf = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)

const entry = (dtype: unknown, shape: unknown, ...offsets: unknown[]): object => ({ dtype, shape, data_offsets: offsets })

function headerOf (bytes: Uint8Array): Record<string, object> {
  const start = PREFIX_BYTES + headerLength(bytes, bytes.byteLength)
  return JSON.parse(new TextDecoder().decode(bytes.subarray(PREFIX_BYTES, start))) as Record<string, object>
}

/** A failing action, which must be refused as a tensor. */
function expectRefused (action: () => unknown, what: string): void {
  expect(action, what).to.throw().with.property('name', 'InvalidTensorError')
}

describe('tensor: safetensors', () => {
  for (const dtype of ['F32', 'F16', 'BF16'] as const) {
    it(`gives back what was written as ${dtype}, in every shape`, () => {
      const random = seeded(3)
      const tensors: NamedTensors = new Map(SHAPES.map(shape => [`t${shape.join('x')}`, floats(shape, random)]))
      const bytes = encodeSafetensors(tensors, { dtype })
      expect(decodeSafetensors(bytes)).to.deep.equal({ tensors, metadata: {} })
      expect(Object.values(headerOf(bytes)).map(info => (info as { dtype: string }).dtype)).to.deep.equal(SHAPES.map(() => dtype))
      for (const [name, tensor] of tensors) expect(decodeSafetensors(encodeSafetensors(new Map([[name, tensor]]), { dtype })).tensors.get(name)).to.deep.equal(tensor)
    })
  }

  it('gives back integers, whichever dtype the floats beside them have', () => {
    const tensors = new Map([...SHAPES.map(shape => [`i${shape.join('x')}`, integers(shape)] as const), ['f', floats([3])] as const])
    for (const dtype of ['F32', 'F16', 'BF16'] as const) expect(decodeSafetensors(encodeSafetensors(tensors, { dtype })).tensors).to.deep.equal(tensors)
  })

  it('gives back every bit of a float32', () => {
    const bits = Uint32Array.of(0, 2 ** 31, 1, 0x7f800000, 0xff800000, 0x7f7fffff, 0x00800000, 0x3f800001)
    const { values } = decodeSafetensors(encodeSafetensors(new Map([['a', { shape: [8], values: new Float32Array(bits.buffer) }]]))).tensors.get('a')!
    expect(new Uint32Array(values.buffer, values.byteOffset, 8)).to.deep.equal(bits)
  })

  it('gives back names of any kind, and metadata', () => {
    const names = ['', 'transformer.h.0.attn.c_attn', 'é日\u{1f600}', '"\\\n\0', '10', '2', '__proto__', 'constructor']
    const tensors: NamedTensors = new Map(names.map((name, i) => [name, floats([i])]))
    const metadata = { format: 'pt', é: '"', '': '' }
    const decoded = decodeSafetensors(encodeSafetensors(tensors, { metadata }))
    expect([...decoded.tensors.keys()]).to.have.members(names)
    for (const [name, tensor] of tensors) expect(decoded.tensors.get(name)).to.deep.equal(tensor)
    expect(decoded.metadata).to.deep.equal(metadata)
  })

  it('is empty for nothing', () => {
    const bytes = encodeSafetensors(new Map())
    expect(bytes.byteLength).to.equal(2 * PREFIX_BYTES)
    expect(decodeSafetensors(bytes)).to.deep.equal({ tensors: new Map(), metadata: {} })
  })

  it('writes the format that is published: little-endian, data at a multiple of eight, in the order given', () => {
    const tensors: NamedTensors = new Map([['b', { shape: [1, 2], values: Float32Array.of(1, -2) }], ['a', { shape: [], values: Int32Array.of(258) }]])
    const json = '{"b":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"a":{"dtype":"I32","shape":[],"data_offsets":[8,12]}}'
    const expected = message(json.padEnd(Math.ceil(json.length / 8) * 8), Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 2, 1, 0, 0))
    expect(Buffer.from(encodeSafetensors(tensors)).equals(expected)).to.be.true
    for (let length = 0; length < 9; length++) {
      const bytes = encodeSafetensors(new Map([['x'.repeat(length), floats([1])]]))
      expect(headerLength(bytes, bytes.byteLength) % 8).to.equal(0)
    }
  })

  it('writes views of something larger, and reads a message wherever it lies', () => {
    const values = Float32Array.of(9, 1, 2, 9).subarray(1, 3)
    const expected: NamedTensors = new Map([['a', { shape: [2], values: Float32Array.of(1, 2) }], ['b', integers([3])]])
    const bytes = encodeSafetensors(new Map([...expected, ['a', { shape: [2], values }]]))
    for (let offset = 0; offset < 9; offset++) {
      const around = new Uint8Array(bytes.byteLength + 20)
      around.set(bytes, offset)
      for (const within of [around.subarray(offset, offset + bytes.byteLength), Buffer.from(around.buffer, offset, bytes.byteLength)]) {
        expect(decodeSafetensors(within).tensors).to.deep.equal(expected)
      }
    }
  })

  describe('in memory that it is given', () => {
    const tensors: NamedTensors = new Map([...SHAPES.map(shape => [`t${shape.join('x')}`, floats(shape)] as const), ['i', integers([3])] as const])

    for (const dtype of ['F32', 'F16', 'BF16'] as const) {
      it(`writes ${dtype} over whatever was there`, () => {
        const expected = encodeSafetensors(tensors, { dtype })
        const actual = encodeSafetensors(tensors, { dtype, allocate: bytes => new Uint8Array(bytes).fill(0xff) })
        expect(Buffer.from(actual).equals(expected)).to.equal(true)
      })
    }

    it('writes within something larger, and nothing around it', () => {
      const expected = encodeSafetensors(tensors)
      const around = new Uint8Array(expected.byteLength + 30).fill(0xff)
      const actual = encodeSafetensors(tensors, { allocate: bytes => around.subarray(10, 10 + bytes) })
      expect(Buffer.from(actual).equals(expected)).to.equal(true)
      expect([...around.subarray(0, 10), ...around.subarray(10 + expected.byteLength)]).to.deep.equal(Array.from({ length: 30 }, () => 0xff))
    })

    it('asks once, for exactly what it writes, and gives that', () => {
      const given: Uint8Array[] = []
      const allocate = (bytes: number): Uint8Array => {
        given.push(new Uint8Array(bytes))
        return given[given.length - 1]
      }
      const actual = encodeSafetensors(tensors, { allocate })
      expect(given.map(({ byteLength }) => byteLength)).to.deep.equal([encodeSafetensors(tensors).byteLength])
      expect(actual).to.equal(given[0])
    })
  })

  it('reads values that do not lie at a multiple of their size', () => {
    const header = { odd: entry('F16', [1], 0, 2), f: entry('F32', [1], 2, 6), i: entry('I32', [1], 6, 10), l: entry('I64', [1], 10, 18) }
    const data = Buffer.concat([bytesOf(Uint16Array.of(0x3c00)), bytesOf(Float32Array.of(1.5)), bytesOf(Int32Array.of(-7)), bytesOf(BigInt64Array.of(-8n))])
    const json = JSON.stringify(header)
    for (let spaces = 0; spaces < 8; spaces++) {
      const bytes = message(json + ' '.repeat(spaces), data)
      for (const from of [bytes, Uint8Array.from(bytes)]) {
        const { tensors } = decodeSafetensors(from)
        expect([...tensors.values()].map(({ values }) => values[0])).to.deep.equal([1, 1.5, -7, -8])
      }
    }
  })

  it('reads tensors in whichever order the header names them', () => {
    const { tensors } = decodeSafetensors(message({ b: entry('I32', [1], 4, 8), none: entry('F32', [0], 4, 4), a: entry('I32', [1], 0, 4) }, bytesOf(Int32Array.of(1, 2))))
    expect([...tensors].map(([name, { values }]) => [name, ...values])).to.deep.equal([['b', 2], ['none'], ['a', 1]])
  })

  it('narrows I64 to 32 bits, and refuses what does not fit', () => {
    const read = (...values: bigint[]): TensorData =>
      decodeSafetensors(message({ a: entry('I64', [values.length], 0, 8 * values.length) }, bytesOf(BigInt64Array.from(values)))).tensors.get('a')!
    const least = -(2n ** 31n)
    expect(read(0n, -1n, -100n, least, -least - 1n)).to.deep.equal({ shape: [5], values: Int32Array.of(0, -1, -100, -(2 ** 31), 2 ** 31 - 1) })
    expect(read()).to.deep.equal({ shape: [0], values: new Int32Array(0) })
    for (const value of [-least, least - 1n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]) expectRefused(() => read(1n, value), value.toString())
  })

  it('lets tensors that we do not read stand beside those that we do, until their values are wanted', () => {
    const sizes = { F64: 8, F8_E4M3: 1, F8_E5M2: 1, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 }
    for (const [dtype, size] of Object.entries(sizes)) {
      const { tensors } = parseHeader(Buffer.from(JSON.stringify({ a: entry(dtype, [3], 0, 3 * size) })), 3 * size)
      expect(tensors.get('a')).to.deep.equal({ dtype, shape: [3], begin: 0, end: 3 * size })
      expectRefused(() => decodeValues('a', tensors.get('a')!, new Uint8Array(3 * size)), dtype)
      expectRefused(() => decodeSafetensors(message({ a: entry(dtype, [3], 0, 3 * size) }, new Uint8Array(3 * size))), dtype)
    }
  })

  it('refuses a message that is cut anywhere, or goes on after its end', () => {
    const bytes = encodeSafetensors(new Map([['a', floats([3])], ['b', integers([2, 2])]]), { metadata: { format: 'pt' } })
    for (let length = 0; length < bytes.byteLength; length++) expectRefused(() => decodeSafetensors(bytes.subarray(0, length)), `${length} bytes`)
    expectRefused(() => decodeSafetensors(Buffer.concat([bytes, Buffer.of(0)])), 'a byte more')
  })

  it('refuses a header longer than what is there, shorter than any, or beyond the limit of the format', () => {
    const prefix = (length: bigint): Uint8Array => bytesOf(BigUint64Array.of(length))
    expect(headerLength(prefix(2n), 10)).to.equal(2)
    expect(headerLength(prefix(100_000_000n), 1e9)).to.equal(100_000_000)
    for (const length of [0n, 1n, 3n, 2n ** 32n + 2n, 2n ** 53n, 2n ** 64n - 1n]) expectRefused(() => headerLength(prefix(length), 10), length.toString())
    expectRefused(() => headerLength(prefix(100_000_001n), 1e9), 'beyond the limit')
    expectRefused(() => headerLength(prefix(2n).subarray(0, 7), 10), 'cut')
  })

  it('refuses a header that is not a JSON object in UTF-8', () => {
    for (const header of ['{}}', '{"a"', '  ', '[]', 'null', '"ab"', '12', '{"a":undefined}']) expectRefused(() => decodeSafetensors(message(header)), header)
    expectRefused(() => parseHeader(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0), 'not UTF-8')
    expectRefused(() => parseHeader(Buffer.from('{"__metadata__":{"a":"\xff"}}', 'latin1'), 0), 'metadata not UTF-8')
  })

  it('refuses metadata that are not text by name', () => {
    for (const metadata of [null, 'pt', ['pt'], 1, { format: 1 }, { format: null }, { format: { a: 'b' } }]) {
      expectRefused(() => decodeSafetensors(message({ __metadata__: metadata })), JSON.stringify(metadata))
    }
  })

  it('refuses an entry that is no description of a tensor', () => {
    const right = entry('F32', [2], 0, 8)
    expect(decodeSafetensors(message({ a: right }, new Uint8Array(8))).tensors.get('a')!.shape).to.deep.equal([2])
    const wrong = [
      null, 'F32', [right], 8,
      { ...right, dtype: undefined }, { ...right, shape: undefined }, { ...right, data_offsets: undefined },
      ...[32, null, 'F33', 'f32', '', 'toString', '__proto__', ['F32']].map(dtype => ({ ...right, dtype })),
      ...[2, '2', null, {}, [-2], [2.5], ['2'], [null], [[2]], [1e300], [-1, -2]].map(shape => ({ ...right, shape })),
      ...[8, null, {}, [], [8], [0, 8, 8], [0, '8'], [0, null], [0.5, 8.5]].map(offsets => ({ ...right, data_offsets: offsets }))
    ]
    for (const info of wrong) expectRefused(() => decodeSafetensors(message({ a: info }, new Uint8Array(8))), JSON.stringify(info))
  })

  it('refuses a shape, offsets or a dtype that are lists within lists, and says so in few words', () => {
    const deep = '['.repeat(100_000) + ']'.repeat(100_000)
    for (const wrong of [`"F32","shape":${deep},"data_offsets":[0,0]`, `"F32","shape":[0],"data_offsets":${deep}`, `${deep},"shape":[0],"data_offsets":[0,0]`, `"${'F'.repeat(100_000)}","shape":[0],"data_offsets":[0,0]`]) {
      const json = new TextEncoder().encode(`{"a":{"dtype":${wrong}}}`)
      expect(() => parseHeader(json, 0)).to.throw().that.satisfies(({ name, message }: Error) => name === 'InvalidTensorError' && message.length < 500)
    }
  })

  it('refuses more lists and objects than tensors have, before it makes them', () => {
    for (const [open, close] of ['[]', '{}']) {
      const json = Buffer.from(`{"a":[${`${open}${close},`.repeat(100_000)}0]}`)
      expectRefused(() => parseHeader(json, 0), 'brackets side by side')
    }
    const names = ['[[[[', '{{{{', '\\', '"[', '\\"[[[[', '']
    const message = encodeSafetensors(new Map(names.map(name => [name, { shape: [], values: Float32Array.of(1) }])), { metadata: { '[[[[': '{{{{' } })
    expect([...decodeSafetensors(message).tensors.keys()]).to.deep.equal(names)
  })

  it('refuses more than eight axes', () => {
    const ones = (axes: number): Buffer => message({ a: entry('F32', Array.from({ length: axes }, () => 1), 0, 4) }, new Uint8Array(4))
    expect(decodeSafetensors(ones(8)).tensors.get('a')!.shape).to.have.lengthOf(8)
    expectRefused(() => decodeSafetensors(ones(9)), 'nine axes')
  })

  it('refuses offsets outside the data, in the wrong order, or not of the shape', () => {
    const wrong = {
      'beyond the end': entry('F32', [3], 0, 12),
      'far beyond the end': entry('F32', [2 ** 51 - 2], 0, 2 ** 53 - 8),
      'before the beginning': entry('F32', [3], -4, 8),
      'end before begin': entry('F32', [0], 8, 4),
      'one value too many': entry('F32', [1], 0, 8),
      'one value too few': entry('F32', [3], 0, 8),
      'a dtype of another size': entry('I64', [2], 0, 8),
      'no value': entry('F32', [2, 0], 0, 8),
      'a product that overflows': entry('F32', Array.from({ length: 8 }, () => 2 ** 53 - 1), 0, 8)
    }
    for (const [what, info] of Object.entries(wrong)) expectRefused(() => decodeSafetensors(message({ a: info }, new Uint8Array(8))), what)
  })

  it('refuses gaps, overlaps, and bytes that belong to no tensor', () => {
    const one = (...offsets: number[]): object => entry('I8', [offsets[1] - offsets[0]], ...offsets)
    const cover = (infos: object): unknown => parseHeader(Buffer.from(JSON.stringify(infos)), 8)
    cover({ a: one(0, 3), b: one(3, 3), c: one(3, 8) })
    cover({ c: one(3, 8), b: one(3, 3), a: one(0, 3) })
    const wrong = {
      'gap at the beginning': { a: one(1, 8) },
      'gap between': { a: one(0, 3), b: one(4, 8) },
      'gap at the end': { a: one(0, 7) },
      overlap: { a: one(0, 4), b: one(3, 8) },
      'one inside another': { a: one(0, 8), b: one(2, 4) },
      twice: { a: one(0, 8), b: one(0, 8) },
      'nothing in the middle of another': { a: one(0, 8), b: one(4, 4) },
      'no tensor for the data': {}
    }
    for (const [what, infos] of Object.entries(wrong)) expectRefused(() => cover(infos), what)
  })

  it('gives floats and integers by name, and refuses the one where the other is', () => {
    const tensors = new Map([['f', floats([2])], ['i', integers([2])]])
    expect(floatTensor(tensors, 'f')).to.deep.equal(tensors.get('f'))
    expect(intTensor(tensors, 'i')).to.deep.equal(tensors.get('i'))
    expectRefused(() => floatTensor(tensors, 'i'), 'integers')
    expectRefused(() => intTensor(tensors, 'f'), 'floats')
    expectRefused(() => floatTensor(tensors, 'x'), 'missing')
    expectRefused(() => intTensor(tensors, 'x'), 'missing')
  })
})
