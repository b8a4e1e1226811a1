import { expect } from 'chai'
import { type Dropout, dropoutKey, dropOut, fillMask } from '../../src/tensor/dropout.js'
import { uniform } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'

function maskOf (size: number, dropout: Dropout, site = 'h.0', row = 0): Float32Array {
  const mask = new Float32Array(size)
  fillMask(mask, dropout, site, row)
  return mask
}

describe('tensor: dropout', () => {
  for (const rate of [0.05, 0.5, 0.9]) {
    it(`drops the share that it says, and leaves the mean as it is, p = ${rate}`, () => {
      const size = 1 << 16
      const mask = maskOf(size, { rate, key: dropoutKey(3, 'somebody', 7) })
      const dropped = mask.filter(value => value === 0).length / size
      expect(dropped).to.be.closeTo(rate, 4 * Math.sqrt(rate * (1 - rate) / size))
      expect(new Set(mask)).to.deep.equal(new Set([0, Math.fround(1 / (1 - rate))]))
      expect(mask.reduce((sum, value) => sum + value, 0) / size).to.be.closeTo(1, 4 * Math.sqrt(rate / (1 - rate) / size))
    })
  }

  it('is another for each seed, trainer, step, site and row, and always the same for the same', () => {
    const key = dropoutKey(3, 'somebody', 7)
    const masks = [
      maskOf(64, { rate: 0.5, key }), maskOf(64, { rate: 0.5, key: dropoutKey(4, 'somebody', 7) }), maskOf(64, { rate: 0.5, key: dropoutKey(3, 'another', 7) }),
      maskOf(64, { rate: 0.5, key: dropoutKey(3, 'somebody', 8) }), maskOf(64, { rate: 0.5, key }, 'h.1'), maskOf(64, { rate: 0.5, key }, 'h.0', 1)
    ]
    expect(new Set(masks.map(mask => mask.join())).size).to.equal(masks.length)
    expect(maskOf(64, { rate: 0.5, key })).to.deep.equal(masks[0])
    expect(maskOf(16, { rate: 0.5, key }), 'a shorter row').to.deep.equal(masks[0].subarray(0, 16))
  })

  it('multiplies each row by its own mask', () => {
    const dropout = { rate: 0.3, key: dropoutKey(1, 'somebody', 0) }
    const x = uniform([6, 5], seeded(1)) // three rows of two places
    const dropped = dropOut(x, 3, dropout, 'h.0')
    expect(dropped.shape).to.deep.equal(x.shape)
    for (const row of [0, 1, 2]) {
      const mask = maskOf(10, dropout, 'h.0', row)
      expect(dropped.values.subarray(10 * row, 10 * row + 10)).to.deep.equal(mask.map((value, i) => value * x.values[10 * row + i]))
    }
  })
})
