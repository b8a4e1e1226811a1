import { expect } from 'chai'
import { Uint8ArrayList } from 'uint8arraylist'
import { copyChunk, frameOfChunk } from '../../src/protocols/blob/chunk-frame.js'
import { encodeMessage } from '../../src/protocols/message.js'

/** Where CBOR writes a length in another way, and the longest chunk. */
const LENGTHS = [0, 1, 23, 24, 255, 256, 65_535, 65_536, 512 * 1024 - 1, 512 * 1024]

/** What the target holds before anything is copied. */
const BEFORE = 0xee

/** No byte of it is that of the target, and neighbours differ. */
const chunkOfLength = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 200)

/** A frame as it may come from the network: in pieces of so many bytes. */
function inPieces (frame: Uint8Array, size: number): Uint8ArrayList {
  const list = new Uint8ArrayList()
  for (let at = 0; at < frame.byteLength; at += size) list.append(frame.subarray(at, at + size))
  return list
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.from(a).equals(b)

describe('the frame of a chunk', () => {
  for (const length of LENGTHS) {
    const chunk = chunkOfLength(length)

    it(`is the message of the chunk, byte for byte, with ${length} bytes`, () => {
      expect(same(frameOfChunk(chunk).subarray(), encodeMessage({ chunk }))).to.equal(true)
    })

    it(`gives back ${length} bytes`, () => {
      const target = new Uint8Array(length).fill(BEFORE)
      expect(copyChunk(new Uint8ArrayList(encodeMessage({ chunk })), target)).to.equal(true)
      expect(same(target, chunk)).to.equal(true)
    })
  }

  for (const size of [1, 2, 7, 9, 10, 64, 299]) {
    it(`gives back what came in pieces of ${size} bytes`, () => {
      const chunk = chunkOfLength(300)
      const target = new Uint8Array(300).fill(BEFORE)
      expect(copyChunk(inPieces(encodeMessage({ chunk }), size), target)).to.equal(true)
      expect(same(target, chunk)).to.equal(true)
    })
  }

  it('gives back what was cut in two anywhere in its head, or right after it', () => {
    const chunk = chunkOfLength(300)
    const frame = encodeMessage({ chunk })
    for (let cut = 0; cut <= frame.byteLength - chunk.byteLength + 1; cut++) {
      const target = new Uint8Array(300).fill(BEFORE)
      expect(copyChunk(new Uint8ArrayList(frame.subarray(0, cut), frame.subarray(cut)), target), `cut at ${cut}`).to.equal(true)
      expect(same(target, chunk), `cut at ${cut}`).to.equal(true)
    }
  })

  it('does not copy the chunk that it is made of', () => {
    const chunk = chunkOfLength(300)
    expect([...frameOfChunk(chunk)].at(-1)).to.equal(chunk)
  })

  const chunk = chunkOfLength(300)
  const others: Record<string, Uint8Array> = {
    'a refusal': encodeMessage({ refused: 'not held here' }),
    'a refusal as long as the frame': encodeMessage({ refused: 'x'.repeat(298) }),
    'a chunk one byte too short': encodeMessage({ chunk: chunkOfLength(299) }),
    'a chunk one byte too long': encodeMessage({ chunk: chunkOfLength(301) }),
    'another key': encodeMessage({ chunc: chunk }),
    'text instead of bytes': encodeMessage({ chunk: 'x'.repeat(300) }),
    'a frame without its last byte': encodeMessage({ chunk }).subarray(0, -1),
    'a frame with a byte more': Uint8Array.of(...encodeMessage({ chunk }), 0),
    'an empty frame': new Uint8Array()
  }
  for (const [what, frame] of Object.entries(others)) {
    it(`is told from ${what}, of which nothing is copied`, () => {
      const target = new Uint8Array(300).fill(BEFORE)
      expect(copyChunk(new Uint8ArrayList(frame), target)).to.equal(false)
      expect(target.every(byte => byte === BEFORE)).to.equal(true)
    })
  }
})
