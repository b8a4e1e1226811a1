import { expect } from 'chai'
import { meanSquaredError } from '../../src/metrics/mean-squared-error.js'
import { expectNear, REFUSED_NUMBERS, regressionCases } from './cases.js'

describe('metrics: mean squared error', () => {
  it("is scikit-learn's", () => {
    for (const each of regressionCases) expectNear(meanSquaredError(each.predictions, each.labels), each.mse, each)
  })

  it('is 0 of the same numbers, and d² of numbers that are off by d', () => {
    for (const labels of [[3], [1, 2, 3], [-4, 0, 8, 8]]) {
      expect(meanSquaredError(labels, labels)).to.equal(0)
      expect(meanSquaredError(labels.map(label => label - 5), labels)).to.equal(25)
    }
  })

  it('refuses what are not finite numbers, in pairs', () => {
    for (const [predictions, labels, name] of REFUSED_NUMBERS) {
      expect(() => meanSquaredError(predictions, labels)).to.throw().with.property('name', name)
    }
  })
})
