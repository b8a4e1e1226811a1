import { expect } from 'chai'
import { allFinite } from '../../src/tensor/finite.js'

describe('tensor: finite values', () => {
  it('are all but NaN and the infinities, wherever they stand', () => {
    expect(allFinite(new Float32Array())).to.equal(true)
    expect(allFinite(Float32Array.of(0, -0, 1e-45, -3.4e38, 3.4e38))).to.equal(true)
    for (const value of [NaN, Infinity, -Infinity]) {
      for (let length = 1; length < 10; length++) {
        for (let at = 0; at < length; at++) expect(allFinite(new Float32Array(length).fill(3.4e38).with(at, value)), `${value} at ${at} of ${length}`).to.equal(false)
      }
    }
  })
})
