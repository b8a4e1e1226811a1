import { expect } from 'chai'
import { matthews } from '../../src/metrics/matthews.js'
import { classificationCases, expectNear, REFUSED_CLASSES } from './cases.js'

describe('metrics: Matthews correlation', () => {
  it("is scikit-learn's", () => {
    for (const each of classificationCases) expectNear(matthews(each.predictions, each.labels), each.matthews, each)
  })

  it('does not care how classes are numbered, nor which side is the labels', () => {
    for (const { predictions, labels, classes } of classificationCases) {
      const expected = matthews(predictions, labels)
      const renumbered = (name: number): number => 3 * (classes - name)
      expectNear(matthews(predictions.map(renumbered), labels.map(renumbered)), expected, { predictions, labels })
      expectNear(matthews(labels, predictions), expected, { predictions, labels })
    }
  })

  it('is 1 of what is right, −1 of two classes that are confused, 0 of one class', () => {
    for (const { labels } of classificationCases) expect(matthews(labels, labels)).to.equal(new Set(labels).size > 1 ? 1 : 0)
    expect(matthews([1, 0, 1, 0, 0], [0, 1, 0, 1, 1])).to.equal(-1)
    expect(matthews([1, 1, 1], [0, 1, 2])).to.equal(0)
    expect(matthews([0, 1, 2], [1, 1, 1])).to.equal(0)
  })

  it('is 0 of predictions that are the same whatever the label', () => {
    expect(matthews([0, 0, 1, 1, 2, 2], [0, 1, 0, 1, 0, 1])).to.equal(0)
  })

  it('refuses what are not classes, in pairs', () => {
    for (const [predictions, labels] of REFUSED_CLASSES) {
      expect(() => matthews(predictions, labels)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})
