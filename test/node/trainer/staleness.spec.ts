import { expect } from 'chai'
import { decayOf, fitsWhenSent, reach, STALE_RULES } from '../../../src/node/trainer/staleness.js'
import { MAX_AHEAD } from '../../../src/protocols/step/index.js'

const STEPS = 40

describe('how far steps run ahead', () => {
  for (const stale of STALE_RULES) {
    it(`sends each step once, with what its trainer has then, ${stale}`, () => {
      for (let ahead = 0; ahead <= MAX_AHEAD; ahead++) {
        for (let interval = 1; interval <= 6; interval++) {
          const pace = { ahead, interval, stale }
          let next = 0
          for (let done = 0; done < STEPS; done++) {
            const end = reach(done, pace)
            expect(end).to.be.within(done + 1, done + 1 + ahead)
            for (; next < end; next++) expect(fitsWhenSent(next, pace)).to.equal(Math.floor(done / interval))
            const staleness = Math.floor(done / interval) - fitsWhenSent(done, pace)
            expect(staleness).to.be.within(0, stale === 'refuse' ? 0 : Math.ceil(ahead / interval))
          }
        }
      }
    })
  }

  it('is one step at a time unless told otherwise, whatever the rule', () => {
    for (const stale of STALE_RULES) {
      for (let done = 0; done < STEPS; done++) expect(reach(done, { ahead: 0, interval: 3, stale })).to.equal(done + 1)
    }
  })

  it('counts less what is older, and in full what is not stale', () => {
    expect([0, 1, 3, 8].map(decayOf)).to.deep.equal([1, 1 / Math.sqrt(2), 1 / 2, 1 / 3])
  })
})
