import { expect } from 'chai'
import type { ContributionRecord } from '../../../src/protocols/contribution/index.js'
import { quorumReached } from '../../../src/node/trainer/quorum.js'

type Said = Pick<ContributionRecord, 'peer' | 'tokens' | 'final'>

const ME = 'me'

function reached (said: readonly Said[], { tokens = 100, expected = 2, quorum = 0.5 } = {}): boolean {
  return quorumReached(said.map(record => ({ record: record as ContributionRecord })), { peer: ME, tokens, expected, quorum })
}

describe('the quorum of a job', () => {
  const own = { peer: ME, tokens: 40, final: false }

  it('is reached where members that are done hold its share of the tokens of all, with what this member has by now', () => {
    for (const [tokens, expected] of [[99, false], [100, true], [101, true]] as const) {
      expect(reached([own, { peer: 'a', tokens, final: true }]), String(tokens)).to.equal(expected)
    }
  })

  it('does not count members that are not done, but for what is not done', () => {
    expect(reached([own, { peer: 'a', tokens: 1000, final: false }])).to.equal(false)
    expect(reached([own, { peer: 'a', tokens: 150, final: true }, { peer: 'b', tokens: 51, final: false }], { expected: 3 })).to.equal(false)
    expect(reached([own, { peer: 'a', tokens: 150, final: true }, { peer: 'b', tokens: 50, final: false }], { expected: 3 })).to.equal(true)
  })

  it('is not reached before all that are expected have contributed, nor where nobody is done', () => {
    expect(reached([own, { peer: 'a', tokens: 1000, final: true }], { expected: 3 })).to.equal(false)
    expect(reached([own, { peer: 'a', tokens: 0, final: true }], { tokens: 0 })).to.equal(false)
    expect(reached([own], { expected: 1 })).to.equal(false)
  })

  it('is never reached where it is 1', () => {
    expect(reached([own, { peer: 'a', tokens: 1000, final: true }], { tokens: 0, quorum: 1 })).to.equal(false)
  })
})
