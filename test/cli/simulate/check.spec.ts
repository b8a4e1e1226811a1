import { expect } from 'chai'
import { findProblems } from '../../../src/cli/simulate/check.js'
import { memberOf, runOf } from './reports.js'

describe('findProblems', () => {
  it('finds none where all losses fell and all members share one ΔW', () => {
    const members = ['a', 'b'].map(name => memberOf(name, [runOf('alone', { deltaHash: `own of ${name}` }), runOf('collaboration')]))
    expect(findProblems(members, ['alone', 'collaboration'])).to.deep.equal([])
  })

  for (const adapted of [3.4, 3.5, NaN, null]) {
    it(`finds a held-out loss of ${adapted} where the base has 3.4`, () => {
      const members = [memberOf('a', [runOf('alone')]), memberOf('b', [runOf('alone', { heldOut: { base: 3.4, adapted } })])]
      const problems = findProblems(members, ['alone'])
      expect(problems).to.have.length(1)
      expect(problems[0]).to.include('b: ').and.include('alone')
    })
  }

  it('finds that nothing was held out, and a mode that was not run', () => {
    expect(findProblems([memberOf('a', [runOf('alone', { heldOut: { base: null, adapted: null } })])], ['alone'])).to.have.length(1)
    expect(findProblems([memberOf('a', [runOf('alone')])], ['alone', 'joint'])).to.have.length(1)
  })

  for (const mode of ['collaboration', 'joint'] as const) {
    it(`finds members that end ${mode} with different ΔW`, () => {
      const members = [memberOf('a', [runOf(mode)]), memberOf('b', [runOf(mode, { deltaHash: 'another' })])]
      const problems = findProblems(members, [mode])
      expect(problems).to.have.length(1)
      expect(problems[0]).to.include(mode).and.include('another')
    })
  }
})
