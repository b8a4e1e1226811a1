import { expect } from 'chai'
import { labelOf, labelTensor } from '../../src/data/labels.js'

const SOURCE = 'a.csv, line 3'
const SENTIMENTS = ['negative', 'neutral', 'positive']
const named = (label: string | number, labels = SENTIMENTS): number => labelOf(label, labels, SOURCE)
const refused = (label: string | number, labels = SENTIMENTS): Error | undefined => {
  try {
    labelOf(label, labels, SOURCE)
    return undefined
  } catch (error) {
    return error as Error
  }
}

describe('data: labels', () => {
  it('are classes by name, by index, or by an index in text', () => {
    expect([named('negative'), named('neutral'), named('positive')]).to.deep.equal([0, 1, 2])
    expect([named(0), named(1), named(2)]).to.deep.equal([0, 1, 2])
    expect([named('0'), named('1'), named('2'), named('1.0'), named(' 2 ')]).to.deep.equal([0, 1, 2, 1, 2])
  })

  it('are indices as numbers, and names as text, where classes are called by numbers', () => {
    const stars = ['1', '2', '3']
    expect([named(0, stars), named(1, stars), named(2, stars)]).to.deep.equal([0, 1, 2])
    expect([named('1', stars), named('2', stars), named('3', stars)]).to.deep.equal([0, 1, 2])
    expect(refused('0', stars)).to.have.property('name', 'InvalidDataError')
    expect(refused(3, stars)).to.have.property('name', 'InvalidDataError')
    expect([named('10', ['10', 'other']), named(1, ['10', 'other'])]).to.deep.equal([0, 1])
    expect(refused('1', ['10', 'other'])!.message).to.not.include('0 to 1')
  })

  it('are numbers where the model gives one', () => {
    const number = (label: string | number): number => labelOf(label, [], SOURCE)
    expect([number(-0.5), number('2.5'), number('-1e3'), number(' 4 '), number(0)]).to.deep.equal([-0.5, 2.5, -1000, 4, 0])
    for (const label of ['good', ' ', 'NaN', '1,5', Infinity, NaN]) {
      const error = refused(label, [])
      expect(error, String(label)).to.have.property('name', 'InvalidDataError')
      expect(error!.message).to.include(SOURCE)
    }
  })

  it('are refused where the model has none such, which are listed', () => {
    for (const label of ['good', 'Positive', ' ', '', -1, '-1', 3, '3', 1.5, '1.5', -100, NaN, Infinity, 'length']) {
      const error = refused(label)
      expect(error, String(label)).to.have.property('name', 'InvalidDataError')
      for (const part of [SOURCE, JSON.stringify(label), ...SENTIMENTS, '0 to 2']) expect(error!.message).to.include(part)
    }
  })

  it('are not all listed where there are many', () => {
    const { message } = refused('none', Array.from({ length: 1000 }, (_, i) => `class ${i}`))!
    expect(message).to.include('class 0, class 1,').and.include('…').and.include('0 to 999')
    expect(message).to.have.length.below(600)
  })

  it('become integers, or where the model gives a number floats', () => {
    expect(labelTensor([2, 0], SENTIMENTS)).to.deep.equal({ shape: [2], values: Int32Array.of(2, 0) })
    expect(labelTensor([2, -0.5], [])).to.deep.equal({ shape: [2], values: Float32Array.of(2, -0.5) })
  })
})
