import { expect } from 'chai'
import { classCounts } from '../../src/metrics/class-counts.js'
import { classificationCases } from './cases.js'

describe('metrics: counts of classes', () => {
  it('counts what was there, what was predicted and what was right', () => {
    const counts = classCounts([0, 0, 2, 5], [0, 1, 2, 0])
    expect([...counts].sort(([a], [b]) => a - b)).to.deep.equal([
      [0, { labelled: 2, predicted: 2, correct: 1 }],
      [1, { labelled: 1, predicted: 0, correct: 0 }],
      [2, { labelled: 1, predicted: 1, correct: 1 }],
      [5, { labelled: 0, predicted: 1, correct: 0 }]
    ])
  })

  it('counts every example once on each side', () => {
    for (const { predictions, labels } of classificationCases) {
      const counts = [...classCounts(predictions, labels).values()]
      for (const side of ['labelled', 'predicted'] as const) {
        expect(counts.reduce((sum, count) => sum + count[side], 0)).to.equal(labels.length)
      }
    }
  })
})
