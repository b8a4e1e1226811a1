import { expect } from 'chai'
import { summarise } from '../../../src/cli/simulate/summary.js'
import { memberOf, runOf } from './reports.js'

describe('joinRuns', () => {
  it('puts the losses of the modes beside the base\'s, and takes the hash of the shared mode', () => {
    const alone = runOf('alone')
    const shared = runOf('collaboration', { heldOut: { base: 3.4, adapted: 2.9 } })
    const member = memberOf('readmes', [alone, shared])
    expect(member.heldOut).to.deep.equal({ base: 3.4, alone: 3, collaboration: 2.9 })
    expect(member.deltaHash).to.equal('collaboration-hash')
    expect(member.runs).to.deep.equal({ alone, collaboration: shared })
  })

  it('takes the hash of alone where it is all there is', () => {
    expect(memberOf('readmes', [runOf('alone')]).deltaHash).to.equal('alone-hash')
  })

  it('adds bytes up by kind, and speeds as tokens over time', () => {
    const { bytes, tokensPerSecond } = memberOf('readmes', [
      runOf('alone', { tokens: 1000, tokensPerSecond: 100, bytes: { step: { sent: 1, received: 2 } } }),
      runOf('collaboration', { tokens: 1000, tokensPerSecond: 50, bytes: { step: { sent: 3, received: 4 }, contribution: { sent: 5, received: 6 } } })
    ])
    expect(bytes).to.deep.equal({ step: { sent: 4, received: 6 }, contribution: { sent: 5, received: 6 } })
    expect(tokensPerSecond).to.be.closeTo(2000 / 30, 1e-9)
    expect(memberOf('readmes', [runOf('alone', { tokensPerSecond: 0 })]).tokensPerSecond).to.equal(0)
  })
})

describe('summarise', () => {
  const rest = { run: 'runs/1', model: 'f3aa', engine: 'wasm', modes: ['alone', 'collaboration'] as const, seconds: 61.2, hosts: [] }
  const members = [memberOf('readmes', [runOf('alone'), runOf('collaboration', { heldOut: { base: 3.4, adapted: null } })])]

  it('shows losses with their change, bytes, hashes and the folder', () => {
    const text = summarise({ ...rest, members, ok: true, problems: [] })
    expect(text).to.match(/trainer +base +alone +collaboration +tokens\/s\nreadmes +3\.4000 +3\.0000 \(-11\.8 %\) +– +100/)
    expect(text).to.match(/trainer +step\nreadmes +20 B \/ 40 B/)
    for (const part of ['collaboration-hash', 'All as it should be.', 'runs/1']) expect(text).to.include(part)
  })

  it('shows what is wrong', () => {
    expect(summarise({ ...rest, members, ok: false, problems: ['readmes: worse'] })).to.include('Wrong:\n  readmes: worse')
  })
})
