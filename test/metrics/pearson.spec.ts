import { expect } from 'chai'
import { pearson } from '../../src/metrics/pearson.js'
import { expectNear, REFUSED_NUMBERS, regressionCases } from './cases.js'

describe('metrics: Pearson correlation', () => {
  it("is scipy's, and null where that is NaN", () => {
    for (const each of regressionCases) expectNear(pearson(each.predictions, each.labels), each.pearson, each)
  })

  it('does not change with unit and origin, and changes its sign with theirs', () => {
    for (const { predictions, labels } of regressionCases) {
      const expected = pearson(predictions, labels)
      expectNear(pearson(predictions.map(value => 8 * value), labels.map(value => value / 4)), expected, { predictions, labels })
      expectNear(pearson(predictions.map(value => -value), labels), expected === null ? null : -expected, { predictions, labels })
      expectNear(pearson(labels, predictions), expected, { predictions, labels })
    }
  })

  it('takes numbers whose squares are too large or too small for float64', () => {
    const labels = [1, 4, 2, 8]
    const expected = pearson([3, 1, 4, 5], labels)
    for (const unit of [2 ** 700, 2 ** -700]) {
      expectNear(pearson([3, 1, 4, 5].map(value => unit * value), labels), expected, unit)
    }
  })

  it('is never beyond 1, which it is of the same numbers', () => {
    for (const { predictions, labels } of regressionCases) {
      const correlation = pearson(predictions, labels)
      if (correlation !== null) expect(Math.abs(correlation)).to.be.at.most(1)
      const same = pearson(labels, labels)
      if (same !== null) expect(same).to.be.within(1 - 1e-15, 1)
    }
  })

  it('is null of one example', () => {
    expect(pearson([3], [4])).to.be.null
  })

  it('refuses what are not finite numbers, in pairs', () => {
    for (const [predictions, labels, name] of REFUSED_NUMBERS) {
      expect(() => pearson(predictions, labels)).to.throw().with.property('name', name)
    }
  })
})
