import { expect } from 'chai'
import { allFinite } from '../../src/tensor/finite.js'

describe('tensor: finite values', () => {
  it('are all but NaN and the infinities, wherever they stand', () => {
    expect(allFinite(new Float32Array())).to.equal(true)
    expect(allFinite(Float32Array.of(0, -0, 1e-45, -3.4e38, 3.4e38))).to.equal(true)
    for (const value of [NaN, Infinity, -Infinity]) {
      for (const at of [0, 3, 6]) expect(allFinite(new Float32Array(7).fill(3.4e38).with(at, value))).to.equal(false)
    }
  })
})
