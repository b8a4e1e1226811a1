import { expect } from 'chai'
import { type Outcome, taskMetrics } from '../../src/metrics/task-metrics.js'
import { classificationCases, expectNear, regressionCases, rougeCases } from './cases.js'

describe('metrics: of a task', () => {
  it('tells accuracy, F1 and Matthews correlation of a classification', () => {
    for (const { predictions, labels, classes, ...expected } of classificationCases) {
      const metrics = taskMetrics({ task: 'classification', classes, predictions, labels })
      expect(metrics).to.have.all.keys('accuracy', 'f1', 'matthews')
      for (const [name, value] of Object.entries(expected)) expectNear(metrics[name], value, name)
    }
  })

  it('tells both correlations and the mean squared error of a regression', () => {
    for (const { predictions, labels, ...expected } of regressionCases) {
      const metrics = taskMetrics({ task: 'regression', predictions, labels })
      expect(metrics).to.have.all.keys('spearman', 'pearson', 'mse')
      for (const [name, value] of Object.entries(expected)) expectNear(metrics[name], value, name)
    }
  })

  it('tells the means of ROUGE F-measures of texts', () => {
    const metrics = taskMetrics({ task: 'sequence-to-sequence', predictions: rougeCases.map(each => each.prediction), labels: rougeCases.map(each => each.reference) })
    expect(metrics).to.have.all.keys('rouge1', 'rouge2', 'rougeL')
    for (const name of ['rouge1', 'rouge2', 'rougeL'] as const) {
      expectNear(metrics[name], rougeCases.reduce((sum, each) => sum + each[name].fmeasure, 0) / rougeCases.length, name)
    }
  })

  it('tells nothing of a causal model, of which the loss says all', () => {
    expect(taskMetrics({ task: 'causal' })).to.deep.equal({})
  })

  it('gives JSON the same back', () => {
    const metrics = taskMetrics({ task: 'regression', predictions: [1, 1], labels: [2, 3] })
    expect(metrics).to.deep.equal({ spearman: null, pearson: null, mse: 2.5 })
    expect(JSON.parse(JSON.stringify(metrics))).to.deep.equal(metrics)
  })

  it('refuses no examples, and labels without a prediction', () => {
    const refused: Outcome[] = [[[], []], [[1], [1, 1]]].flatMap(([predictions, labels]): Outcome[] => [
      { task: 'classification', classes: 2, predictions, labels },
      { task: 'regression', predictions, labels },
      { task: 'sequence-to-sequence', predictions: predictions.map(String), labels: labels.map(String) }
    ])
    for (const outcome of refused) {
      expect(() => taskMetrics(outcome), JSON.stringify(outcome)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})
