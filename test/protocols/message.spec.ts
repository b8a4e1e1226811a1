import { randomBytes } from 'node:crypto'
import { encode } from 'cborg'
import { expect } from 'chai'
import { z } from 'zod'
import { bytesSchema, countSchema, decodeMessage, encodeMessage, hashSchema, manifestSchema, sizeSchema, siteSchema } from '../../src/protocols/message.js'
import { type Manifest, manifestOf } from '../../src/tensor/chunks.js'

const schema = z.strictObject({ id: hashSchema, count: countSchema, size: sizeSchema, bytes: bytesSchema, note: z.string().optional(), loss: z.number().optional() })

const MESSAGE = { id: 'ab'.repeat(32), count: 0, size: 2 ** 40, bytes: new Uint8Array([1, 2, 3]), note: 'ü', loss: 0.1 }

describe('message', () => {
  it('decodes to what was encoded', () => {
    expect(decodeMessage(schema, encodeMessage(MESSAGE))).to.deep.equal(MESSAGE)
    const { note, loss, ...least } = MESSAGE
    expect(decodeMessage(schema, encodeMessage(least))).to.deep.equal(least)
  })

  it('gives bytes that are a copy of what came', () => {
    const encoded = Buffer.from(encodeMessage(MESSAGE))
    const { bytes } = decodeMessage(schema, encoded)
    encoded.fill(0)
    expect(bytes).to.deep.equal(MESSAGE.bytes)
  })

  it('says of too many values that they are, before it has read all of them', () => {
    const many = new Uint8Array(30_000_000).fill(0x80, 5)
    many.set([0x9a, 0x7f, 0xff, 0xff, 0xff])
    expect(() => decodeMessage(schema, many)).to.throw('values').with.property('name', 'ProtocolError')
  })

  it('has the same bytes in whichever order its keys were set', () => {
    const turned = Object.fromEntries(Object.entries(MESSAGE).reverse())
    expect(encodeMessage(turned)).to.deep.equal(encodeMessage(MESSAGE))
  })

  it('holds numbers that are finite to the last bit', () => {
    for (const loss of [0, 5e-324, Math.PI, -1e300, Number.MAX_VALUE, 1 / 3]) {
      expect(decodeMessage(schema, encodeMessage({ ...MESSAGE, loss })).loss).to.equal(loss)
    }
  })

  describe('refuses with a ProtocolError', () => {
    const messages: Record<string, object> = {
      'a missing key': { ...MESSAGE, id: undefined },
      'a key that nobody knows': { ...MESSAGE, surprise: true },
      'a hash in capitals': { ...MESSAGE, id: 'AB'.repeat(32) },
      'a hash that is too short': { ...MESSAGE, id: 'ab' },
      'a hash with a line after it': { ...MESSAGE, id: MESSAGE.id + '\n' },
      'a count below zero': { ...MESSAGE, count: -1 },
      'a count with a fraction': { ...MESSAGE, count: 0.5 },
      'a count beyond exact integers': { ...MESSAGE, count: 2 ** 53 },
      'a count of 64 bits': { ...MESSAGE, count: 2n ** 60n },
      'a size of nothing': { ...MESSAGE, size: 0 },
      'bytes that are a list': { ...MESSAGE, bytes: [1, 2, 3] },
      'what is not a number': { ...MESSAGE, loss: NaN },
      'what is infinite': { ...MESSAGE, loss: Infinity },
      'a list': [MESSAGE]
    }
    const bytes: Record<string, Uint8Array> = {
      nothing: new Uint8Array(),
      noise: new Uint8Array(100).fill(0xff),
      text: Buffer.from(JSON.stringify({ id: MESSAGE.id })),
      'a message cut short': encodeMessage(MESSAGE).subarray(0, -1),
      'a message with something after it': Uint8Array.of(...encodeMessage(MESSAGE), 0),
      'a list that says it is of four thousand million': Uint8Array.of(0x9a, 0xff, 0xff, 0xff, 0xff),
      'bytes that say they are of four thousand million': Uint8Array.of(0x5a, 0xff, 0xff, 0xff, 0xff),
      'lists within lists': new Uint8Array(60_000).fill(0x81),
      'more values than a message has': Buffer.concat([Uint8Array.of(0x9a, 0, 0x10, 0, 0), new Uint8Array(0x10_0000).fill(0xa0)]),
      'a key that stands twice': Uint8Array.of(encodeMessage(MESSAGE)[0] + 1, ...encodeMessage(MESSAGE).subarray(1), ...encode('count'), 1),
      'a list that does not say how long it is': Uint8Array.of(0x9f, 0xff)
    }
    const all = { ...bytes, ...Object.fromEntries(Object.entries(messages).map(([what, message]) => [what, encodeMessage(message)])) }
    for (const [what, encoded] of Object.entries(all)) {
      it(what, () => {
        expect(() => decodeMessage(schema, encoded)).to.throw().with.property('name', 'ProtocolError')
      })
    }
  })

  it('survives any single byte that is wrong: it decodes by the schema, or is refused', () => {
    const encoded = encodeMessage(MESSAGE)
    for (const i of encoded.keys()) {
      for (const byte of [0x00, 0x5f, 0x81, 0xbf, 0xfb, 0xff, encoded[i] ^ 0x20]) {
        const wrong = encoded.map((right, at) => at === i ? byte : right)
        try {
          expect(schema.safeParse(decodeMessage(schema, wrong)).success).to.equal(true)
        } catch (error) {
          expect((error as Error).name).to.equal('ProtocolError')
        }
      }
    }
  })

  describe('of a manifest', () => {
    const manifest = manifestOf(randomBytes(10), 4)
    const decoded = (changed: object): Manifest => decodeMessage(manifestSchema, encodeMessage({ ...manifest, ...changed }))

    it('decodes to what was encoded', () => {
      expect(decoded({})).to.deep.equal({ ...manifest, chunks: manifest.chunks.map(hash => new Uint8Array(hash)) })
    })

    const lies: Record<string, Partial<Manifest>> = {
      'another id': { id: '0'.repeat(64) },
      'another size': { size: 11 },
      'a size for which there are too few chunks': { size: 13 },
      'another length of chunks': { chunkSize: 5 },
      'another chunk': { chunks: manifest.chunks.with(0, randomBytes(32)) },
      'chunks in another order': { chunks: manifest.chunks.toReversed() },
      'a chunk too many': { chunks: [...manifest.chunks, manifest.chunks[0]] },
      'a hash that is too short': { chunks: manifest.chunks.with(0, randomBytes(31)) },
      'more than is accepted': { size: 2 ** 40, chunkSize: 2 ** 40 }
    }
    for (const [what, lie] of Object.entries(lies)) {
      it(`refuses ${what}`, () => {
        expect(() => decoded(lie)).to.throw().with.property('name', 'ProtocolError')
      })
    }
  })

  describe('of a site', () => {
    const convolution = { channels: 2, height: 5, width: 4, kernel: [3, 3], stride: [1, 1], padding: [1, 1] } as const
    const sites: Record<string, object> = {
      'a linear module': { name: 'h.0', inFeatures: 3, outFeatures: 5 },
      'one of a decoder': { name: 'h.0', inFeatures: 3, outFeatures: 5, places: 'target' },
      'a convolution': { name: 'convs.0', inFeatures: 18, outFeatures: 5, convolution }
    }
    for (const [what, site] of Object.entries(sites)) {
      it(`decodes ${what} to what was encoded`, () => {
        expect(decodeMessage(siteSchema, encodeMessage(site))).to.deep.equal(site)
      })
    }

    const lies: Record<string, object> = {
      'a kernel that is larger than the image': { convolution: { ...convolution, kernel: [9, 3] }, inFeatures: 54 },
      'a stride of nothing': { convolution: { ...convolution, stride: [0, 1] } },
      'padding without end': { convolution: { ...convolution, padding: [1e6, 1] } },
      'columns that are no patch': { inFeatures: 17 },
      'more columns than there is memory': { inFeatures: 2 ** 40, convolution: { ...convolution, channels: 2 ** 40, kernel: [1, 1] } },
      'a convolution with places of its own': { places: 3 }
    }
    for (const [what, lie] of Object.entries(lies)) {
      it(`refuses ${what}`, () => {
        expect(() => decodeMessage(siteSchema, encodeMessage({ ...sites['a convolution'], ...lie }))).to.throw().with.property('name', 'ProtocolError')
      })
    }
  })
})
