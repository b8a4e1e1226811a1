import { expect } from 'chai'
import { readableBytes, table } from '../../src/cli/table.js'

describe('table', () => {
  it('aligns names to the left and numbers to the right', () => {
    expect(table(['trainer', 'loss'], [['a', '3.25'], ['longer name', '12.5']])).to.equal([
      'trainer      loss',
      'a            3.25',
      'longer name  12.5'
    ].join('\n'))
  })

  it('is its head alone where there are no rows', () => {
    expect(table(['trainer', 'loss'], [])).to.equal('trainer  loss')
  })
})

describe('readableBytes', () => {
  for (const [bytes, text] of [[0, '0 B'], [999, '999 B'], [1000, '1.0 kB'], [1_234_567, '1.2 MB'], [5e9, '5.0 GB'], [7e15, '7000.0 TB']] as const) {
    it(`says ${text} for ${bytes}`, () => expect(readableBytes(bytes)).to.equal(text))
  }
})
