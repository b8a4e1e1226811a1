import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { deltaHash } from '../../src/merge/delta-hash.js'
import type { FloatTensor } from '../../src/types.js'

const A: FloatTensor = { shape: [2, 1], values: Float32Array.of(1, 2) }
const B: FloatTensor = { shape: [1, 1], values: Float32Array.of(0.5) }

describe('merge: the hash of ΔW', () => {
  it('is sha-256 over sorted names, shapes and little-endian values', () => {
    const expected = createHash('sha256')
      .update('["a",[2,1]]').update(Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0x40))
      .update('["b",[1,1]]').update(Uint8Array.of(0, 0, 0, 0x3f)).digest('hex')
    expect(deltaHash(new Map([['a', A], ['b', B]]))).to.equal(expected)
    expect(deltaHash(new Map([['b', B], ['a', A]]))).to.equal(expected)
  })

  it('reads values that are a view of something larger', () => {
    const values = Float32Array.of(9, 1, 2, 9).subarray(1, 3)
    expect(deltaHash(new Map([['a', { shape: [2, 1], values }]]))).to.equal(deltaHash(new Map([['a', A]])))
  })

  it('tells names, shapes and every bit apart', () => {
    const deltas = [
      new Map<string, FloatTensor>(), new Map([['a', A]]), new Map([['b', A]]), new Map([['a', { ...A, shape: [1, 2] }]]),
      new Map([['z', { shape: [1], values: Float32Array.of(0) }]]), new Map([['z', { shape: [1], values: Float32Array.of(-0) }]])
    ]
    expect(new Set(deltas.map(deltaHash)).size).to.equal(deltas.length)
  })
})
