import { expect } from 'chai'
import { rouge, type RougeScore } from '../../src/metrics/rouge.js'
import { expectNear, rougeCases } from './cases.js'

const NAMES = ['rouge1', 'rouge2', 'rougeL'] as const

const perfect: RougeScore = { precision: 1, recall: 1, fmeasure: 1 }
const nothing: RougeScore = { precision: 0, recall: 0, fmeasure: 0 }

describe('metrics: ROUGE', () => {
  it("gives rouge_score's precision, recall and F-measure", () => {
    for (const each of rougeCases) {
      const actual = rouge(each.prediction, each.reference)
      for (const name of NAMES) {
        for (const part of ['precision', 'recall', 'fmeasure'] as const) expectNear(actual[name][part], each[name][part], { name, part, ...each })
      }
    }
  })

  it('gives what the tests of rouge_score say', () => {
    expect(rouge('testing', 'testing one two').rouge1).to.deep.equal({ precision: 1, recall: 1 / 3, fmeasure: 1 / 2 })
    expect(rouge('testing one', 'testing one two').rouge2).to.deep.equal({ precision: 1, recall: 1 / 2, fmeasure: 2 / 3 })
    expectNear(rouge('testing two', 'testing one two').rougeL.fmeasure, 4 / 5, 'not neighbours')
  })

  it('is 1 of a text and itself, whatever stands between its words', () => {
    for (const text of ['one two', 'a a b a', 'The cat, it is said, sat.']) {
      for (const other of [text, text.toUpperCase(), ` ${text.replaceAll(' ', '\n— ')}!`]) {
        expect(rouge(other, text)).to.deep.equal({ rouge1: perfect, rouge2: perfect, rougeL: perfect })
      }
    }
  })

  it('swaps precision and recall with prediction and reference', () => {
    for (const { prediction, reference } of rougeCases) {
      const [there, back] = [rouge(prediction, reference), rouge(reference, prediction)]
      for (const name of NAMES) {
        expect(back[name].precision).to.equal(there[name].recall)
        expect(back[name].recall).to.equal(there[name].precision)
        expectNear(back[name].fmeasure, there[name].fmeasure, { prediction, reference })
      }
    }
  })

  it('never finds more in order than there is in any order', () => {
    for (const { prediction, reference } of rougeCases) {
      const { rouge1, rougeL } = rouge(prediction, reference)
      expect(rougeL.recall).to.be.within(0, rouge1.recall)
      expect(rougeL.precision).to.be.within(0, rouge1.precision)
    }
  })

  it('is 0 of texts without a word of a–z and 0–9, also of equal ones', () => {
    for (const text of ['', ' ', '…', 'Привет', '你好 世界']) {
      expect(rouge(text, text)).to.deep.equal({ rouge1: nothing, rouge2: nothing, rougeL: nothing })
      expect(rouge(text, 'one two')).to.deep.equal({ rouge1: nothing, rouge2: nothing, rougeL: nothing })
    }
  })

  it('is 0 by pairs where there is one word', () => {
    expect(rouge('one', 'one')).to.deep.equal({ rouge1: perfect, rouge2: nothing, rougeL: perfect })
  })

  it('takes pairs of words for what they are', () => {
    expect(rouge('ab c', 'a bc').rouge2).to.deep.equal(nothing)
  })

  it('counts words that are names of what every object has', () => {
    expect(rouge('constructor __proto__', 'constructor proto').rouge1).to.deep.equal(perfect)
  })
})
