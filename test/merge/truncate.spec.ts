import { expect } from 'chai'
import { type Delta, relativeError as errorOf, truncate, type Truncated } from '../../src/merge/truncate.js'
import type { FloatTensor } from '../../src/types.js'
import { relativeError } from '../support/compare.js'
import { readJson } from '../support/fixtures.js'
import { seeded } from './random.js'

interface Case {
  readonly out: number
  readonly in: number
  readonly rank: number
  readonly a: number[]
  readonly b: number[]
  readonly values: number[]
  readonly errors: number[]
}

const cases = await readJson('merge', 'truncation.json') as Case[]

function factorsOf ({ out, in: inner, rank, a, b }: Case): { a: FloatTensor, b: FloatTensor } {
  return { a: { shape: [rank, inner], values: Float32Array.from(a) }, b: { shape: [out, rank], values: Float32Array.from(b) } }
}

/** B·A `[out, in]` in float64. */
function product ({ a, b }: { readonly a: FloatTensor, readonly b: FloatTensor }): number[] {
  const [[rank, inner], [outer]] = [a.shape, b.shape]
  return Array.from({ length: outer * inner }, (_, at) => {
    let sum = 0
    for (let r = 0; r < rank; r++) sum += b.values[Math.floor(at / inner) * rank + r] * a.values[r * inner + at % inner]
    return sum
  })
}

/** The same ΔW both ways. */
function deltasOf (given: Case): Delta[] {
  const factors = factorsOf(given)
  return [factors, { weight: { shape: [given.out, given.in], values: Float32Array.from(product(factors)) } }]
}

const relative = (part: Truncated): number => errorOf([part])

describe('merge: truncation to a rank', () => {
  for (const given of cases) {
    describe(`of a product [${given.out}, ${given.rank}]·[${given.rank}, ${given.in}] and of its matrix`, () => {
      it('has numpy\'s error at every rank, and is that near indeed', () => {
        const whole = product(factorsOf(given))
        for (const delta of deltasOf(given)) {
          for (const [i, expected] of given.errors.entries()) {
            const made = truncate(delta, { rank: i + 1 })
            expect(made.rank).to.be.at.most(i + 1)
            expect(made.a.shape).to.deep.equal([made.rank, given.in])
            expect(made.b.shape).to.deep.equal([given.out, made.rank])
            expect(relative(made)).to.be.closeTo(expected, 1e-6)
            expect(relativeError(product(made), whole)).to.be.closeTo(expected, 1e-6)
          }
        }
      })

      it('has factors of orthogonal rows and columns, which weigh the same', () => {
        for (const delta of deltasOf(given)) {
          const { a, b, rank } = truncate(delta, { rank: given.rank })
          const row = (r: number): number[] => [...a.values.subarray(r * given.in, (r + 1) * given.in)]
          const column = (r: number): number[] => Array.from({ length: given.out }, (_, o) => b.values[o * rank + r])
          const dot = (x: readonly number[], y: readonly number[]): number => x.reduce((sum, value, i) => sum + value * y[i], 0)
          for (let r = 0; r < rank; r++) {
            for (let s = 0; s < rank; s++) {
              const expected = r === s ? given.values[r] : 0 // each has the root of the singular value as its length
              expect(dot(row(r), row(s))).to.be.closeTo(expected, 1e-5 * given.values[0])
              expect(dot(column(r), column(s))).to.be.closeTo(expected, 1e-5 * given.values[0])
            }
          }
        }
      })

      it('takes the least rank within an error', () => {
        for (const delta of deltasOf(given)) {
          for (const maxError of [1e-6, 0.01, 0.2, 0.5, 0.9, 1]) { // 1e-6: a product that was rounded to a float32 matrix has a greater rank
            const made = truncate(delta, { maxError })
            expect(made.rank, `within ${maxError}`).to.equal(given.errors.findIndex(error => error <= maxError) + 1)
            expect(relative(made)).to.be.at.most(maxError)
          }
        }
      })
    })
  }

  it('of zeros are zeros of rank 1, without an error', () => {
    const zeros = (shape: readonly number[]): FloatTensor => ({ shape, values: new Float32Array(shape[0] * shape[1]) })
    for (const delta of [{ weight: zeros([4, 3]) }, { a: zeros([2, 6]), b: zeros([5, 2]) }]) {
      for (const limit of [{ rank: 2 }, { maxError: 0 }]) {
        const made = truncate(delta, limit)
        expect(made).to.include({ rank: 1, size: 0, residual: 0 })
        expect([...made.a.values, ...made.b.values].every(value => value === 0)).to.be.true
        expect(relative(made)).to.equal(0)
      }
    }
  })

  it('adds up the errors of sites by their sizes', () => {
    const random = seeded(3)
    const deltas = [2, 50].map(scale => ({ weight: { shape: [6, 5], values: Float32Array.from({ length: 30 }, () => scale * (random() - 0.5)) } }))
    const made = deltas.map(delta => truncate(delta, { rank: 2 }))
    expect(errorOf(made)).to.be.closeTo(relativeError(made.flatMap(product), deltas.flatMap(({ weight }) => [...weight.values])), 1e-6)
  })
})
