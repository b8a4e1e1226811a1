import { expect } from 'chai'
import { checkClasses, checkNumbers, checkPairs } from '../../src/metrics/pairs.js'
import { REFUSED_CLASSES, REFUSED_NUMBERS } from './cases.js'

describe('metrics: what is compared', () => {
  it('takes as many labels as predictions', () => {
    checkPairs(['a', ''], ['b', 'c'])
    checkClasses([0, 7], [3, 0])
    checkNumbers([0, -1e300], [0.5, 1e300])
    for (const [predictions, labels] of [[[], []], [['a'], []], [['a'], ['b', 'c']]]) {
      expect(() => checkPairs(predictions, labels)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })

  it('takes whole numbers from 0 on for classes', () => {
    for (const [predictions, labels] of REFUSED_CLASSES) {
      expect(() => checkClasses(predictions, labels), `[${predictions.join()}], [${labels.join()}]`).to.throw().with.property('name', 'InvalidOptionError')
    }
  })

  it('takes finite numbers, and tells a model that diverged from labels that are wrong', () => {
    for (const [predictions, labels, name] of REFUSED_NUMBERS) {
      expect(() => checkNumbers(predictions, labels), `[${predictions.join()}], [${labels.join()}]`).to.throw().with.property('name', name)
    }
  })
})
