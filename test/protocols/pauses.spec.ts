import { expect } from 'chai'
import { pauseAfter } from '../../src/protocols/pauses.js'

describe('pauses between tries', () => {
  const pauses = { first: 500, longest: 30_000 }

  it('double with each failure in a row, up to the longest', () => {
    expect([1, 2, 3, 6, 7, 8, 2000].map(failures => pauseAfter(failures, pauses, () => 0.5))).to.deep.equal([500, 1000, 2000, 16_000, 30_000, 30_000, 30_000])
  })

  it('are up to a quarter longer or shorter', () => {
    expect([0, 0.5, 1].map(random => pauseAfter(2, pauses, () => random))).to.deep.equal([750, 1000, 1250])
  })
})
