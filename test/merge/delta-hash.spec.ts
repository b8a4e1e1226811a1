import { expect } from 'chai'
import { createHash } from 'node:crypto'
import { deltaHash } from '../../src/merge/delta-hash.js'
import type { StackedAdapter } from '../../src/merge/stack.js'
import type { AuxiliarySpec, FloatTensor } from '../../src/types.js'

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
    expect(new Set(deltas.map(delta => deltaHash(delta))).size).to.equal(deltas.length)
  })

  describe('and of what is beside it', () => {
    const SPEC: AuxiliarySpec = { kind: 'mlp', rank: 2, alpha: 3, alphas: { b: 1 } }
    const beside = (spec: AuxiliarySpec, ...sites: Array<readonly [string, ReadonlyArray<readonly [string, FloatTensor]>]>): StackedAdapter => ({ spec, tensors: new Map(sites.map(([site, own]) => [site, new Map(own)])) })
    const one = beside(SPEC, ['a', [['w', A], ['v', B]]])

    it('follows with sorted names of sites, each parameter with its α', () => {
      const expected = createHash('sha256')
        .update('["d",[1,1]]').update(Uint8Array.of(0, 0, 0, 0x3f))
        .update('["a","w",1.5,[2,1]]').update(Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0, 0x40))
        .update('["b","v",0.5,[1,1]]').update(Uint8Array.of(0, 0, 0, 0x3f)).digest('hex')
      for (const sites of [[['a', [['w', A]]], ['b', [['v', B]]]], [['b', [['v', B]]], ['a', [['w', A]]]]] as const) {
        expect(deltaHash(new Map([['d', B]]), [beside(SPEC, ...sites)])).to.equal(expected)
      }
    })

    it('is that of ΔW alone where there is nothing', () => {
      expect(deltaHash(new Map([['a', A]]), [])).to.equal(deltaHash(new Map([['a', A]])))
    })

    it('tells sites, parameters, α and every bit apart', () => {
      const others: ReadonlyArray<readonly StackedAdapter[]> = [
        [], [one], [one, one],
        [beside(SPEC, ['b', [['w', A], ['v', B]]])],
        [beside(SPEC, ['a', [['v', A], ['w', B]]])],
        [beside({ ...SPEC, alpha: 4 }, ['a', [['w', A], ['v', B]]])],
        [beside({ ...SPEC, rankStabilised: true }, ['a', [['w', A], ['v', B]]])],
        [beside({ ...SPEC, ranks: { a: 1 } }, ['a', [['w', A], ['v', B]]])],
        [beside(SPEC, ['a', [['w', { ...A, values: A.values.with(1, 2.0000002) }], ['v', B]]])]
      ]
      expect(new Set(others.map(own => deltaHash(new Map([['d', B]]), own))).size).to.equal(others.length)
      expect(deltaHash(new Map([['d', B]]), [one])).to.not.equal(deltaHash(new Map(), [one]))
    })
  })
})
