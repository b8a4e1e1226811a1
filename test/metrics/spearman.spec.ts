import { expect } from 'chai'
import { spearman } from '../../src/metrics/spearman.js'
import { expectNear, REFUSED_NUMBERS, regressionCases } from './cases.js'

describe('metrics: Spearman correlation', () => {
  it("is scipy's, and null where that is NaN", () => {
    for (const each of regressionCases) expectNear(spearman(each.predictions, each.labels), each.spearman, each)
  })

  it('is the same to the bit whatever keeps the order, and changes its sign with the order', () => {
    for (const { predictions, labels } of regressionCases) {
      const expected = spearman(predictions, labels)
      expect(spearman(predictions.map(Math.cbrt), labels.map(value => 2 * value))).to.equal(expected)
      expectNear(spearman(predictions.map(value => -value), labels), expected === null ? null : -expected, { predictions, labels })
      expectNear(spearman(labels, predictions), expected, { predictions, labels })
    }
  })

  it('lets equal numbers share the mean of their ranks', () => {
    expectNear(spearman([1, 1, 2], [1, 2, 3]), Math.sqrt(3) / 2, 'ranks 1.5, 1.5, 3')
  })

  it('does not care in which order examples stand', () => {
    for (const { predictions, labels } of regressionCases) {
      expectNear(spearman(predictions.toReversed(), labels.toReversed()), spearman(predictions, labels), { predictions, labels })
    }
  })

  it('refuses what are not finite numbers, in pairs', () => {
    for (const [predictions, labels, name] of REFUSED_NUMBERS) {
      expect(() => spearman(predictions, labels)).to.throw().with.property('name', name)
    }
  })
})
