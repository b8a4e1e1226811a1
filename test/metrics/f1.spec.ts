import { expect } from 'chai'
import { f1 } from '../../src/metrics/f1.js'
import { classificationCases, expectNear, REFUSED_CLASSES } from './cases.js'

describe('metrics: F1', () => {
  it("is scikit-learn's, of class 1 where there are two and macro where there are more", () => {
    for (const each of classificationCases) expectNear(f1(each.predictions, each.labels, each.classes), each.f1, each)
  })

  it('is 1 of what is right, but 0 of two classes of which class 1 is never there', () => {
    for (const { labels, classes } of classificationCases) {
      expect(f1(labels, labels, classes)).to.equal(classes === 2 && !labels.includes(1) ? 0 : 1)
    }
  })

  it('is the same with predictions for labels and labels for predictions', () => {
    for (const { predictions, labels, classes } of classificationCases) {
      expectNear(f1(labels, predictions, classes), f1(predictions, labels, classes), { predictions, labels, classes })
    }
  })

  it('goes by the classes that there are, not by those that occur', () => {
    const predictions = [0, 1, 1, 0]
    const labels = [0, 1, 0, 0]
    expectNear(f1(predictions, labels, 2), 2 / 3, 'class 1')
    expectNear(f1(predictions, labels, 3), (2 / 3 + 4 / 5) / 2, 'the mean over 0 and 1')
  })

  it('refuses numbers of classes below 2, and classes beyond', () => {
    for (const classes of [1, 0, -1, 2.5, NaN, Infinity]) {
      expect(() => f1([0], [0], classes), String(classes)).to.throw().with.property('name', 'InvalidOptionError')
    }
    for (const [predictions, labels] of [[[2], [1]], [[1], [2]], ...REFUSED_CLASSES]) {
      expect(() => f1(predictions, labels, 2)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})
