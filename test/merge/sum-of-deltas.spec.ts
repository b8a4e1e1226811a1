import { expect } from 'chai'
import { matrixOfDelta, type ScaledDelta, sumOfDeltas } from '../../src/merge/sum-of-deltas.js'
import type { FloatTensor } from '../../src/types.js'
import { relativeError } from '../support/compare.js'
import { seeded } from './random.js'

const [IN, OUT] = [6, 5]

function tensor (shape: readonly [number, number], random: () => number): FloatTensor {
  return { shape, values: Float32Array.from({ length: shape[0] * shape[1] }, () => random() * 2 - 1) }
}

function lowRank (rank: number, scale: number, random: () => number): ScaledDelta {
  return { scale, a: tensor([rank, IN], random), b: tensor([OUT, rank], random) }
}

/** scale·ΔW `[out, in]`, one value after the other. */
function whole (delta: ScaledDelta): number[] {
  return Array.from({ length: OUT * IN }, (_, at) => {
    if ('weight' in delta) return delta.scale * delta.weight.values[at]
    const [rank] = delta.a.shape
    const terms = Array.from({ length: rank }, (_, r) => delta.b.values[Math.floor(at / IN) * rank + r] * delta.a.values[r * IN + at % IN])
    return delta.scale * terms.reduce((sum, term) => sum + term, 0)
  })
}

function expectSum (deltas: readonly ScaledDelta[], weights: readonly number[]): void {
  const expected = deltas.map(whole).reduce((sum, own, k) => sum.map((value, i) => value + weights[k] * own[i]), new Array<number>(OUT * IN).fill(0))
  const sum = sumOfDeltas(deltas.map(delta => new Map([['m', delta]])), weights).get('m')!
  expect(relativeError(matrixOfDelta(sum).values, expected)).to.be.below(1e-6)
  expect('weight' in sum).to.equal(deltas.some(delta => 'weight' in delta))
}

describe('merge: the weighted sum of adapters', () => {
  it('is the sum of the products, whatever the ranks, scales and weights', () => {
    const random = seeded(7)
    expectSum([lowRank(2, 0.5, random), lowRank(4, 3, random), lowRank(1, 1, random)], [0.25, -2, 1.5])
    expectSum([lowRank(3, 2, random)], [1])
  })

  it('is a matrix where one of them is', () => {
    const random = seeded(8)
    expectSum([lowRank(2, 0.5, random), { scale: 4, weight: tensor([OUT, IN], random) }], [0.3, 0.1])
    expectSum([{ scale: 2, weight: tensor([OUT, IN], random) }, { scale: 1, weight: tensor([OUT, IN], random) }], [0.5, 0.5])
  })

  it('has as many factors as all adapters together, and a site of one adapter is that one\'s', () => {
    const random = seeded(9)
    const [both, alone, other] = [lowRank(2, 1, random), lowRank(3, 2, random), lowRank(4, 1, random)]
    const sum = sumOfDeltas([new Map([['both', both]]), new Map([['alone', alone], ['both', other]])], [0.5, 0.25])
    expect([...sum.keys()]).to.deep.equal(['both', 'alone'])
    expect(sum.get('both')).to.have.nested.property('a.shape[0]', 6)
    expect(relativeError(matrixOfDelta(sum.get('alone')!).values, whole(alone).map(value => value / 4))).to.be.below(1e-6)
  })
})
