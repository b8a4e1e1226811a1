import { expect } from 'chai'
import { accuracy } from '../../src/metrics/accuracy.js'
import { classificationCases, REFUSED_CLASSES } from './cases.js'

describe('metrics: accuracy', () => {
  it("is scikit-learn's", () => {
    for (const { predictions, labels, accuracy: expected } of classificationCases) expect(accuracy(predictions, labels)).to.equal(expected)
  })

  it('is 1 of what is right, and 0 of what is wrong', () => {
    for (const { labels } of classificationCases) {
      expect(accuracy(labels, labels)).to.equal(1)
      expect(accuracy(labels.map(label => label + 1), labels)).to.equal(0)
    }
  })

  it('refuses what are not classes, in pairs', () => {
    for (const [predictions, labels] of REFUSED_CLASSES) {
      expect(() => accuracy(predictions, labels)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})
