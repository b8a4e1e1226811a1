import { expect } from 'chai'
import { TrainerAccounts, type TrainerQuotas } from '../../../src/node/host/trainer-quotas.js'

describe('what a host has of one trainer', () => {
  let now = 0
  beforeEach(() => { now = 0 })

  function accounts (quotas: Partial<TrainerQuotas>): TrainerAccounts {
    return new TrainerAccounts(quotas, () => now)
  }

  function refusal (ask: () => void): string {
    try {
      ask()
    } catch (error) {
      const { name, message } = error as Error
      return `${name}: ${message}`
    }
    return 'none'
  }

  it('is a minute\'s tokens, which come back with time, and says when', () => {
    const own = accounts({ tokensPerMinute: 600 })
    for (let i = 0; i < 3; i++) own.useTokens('ann', 200, 0)
    expect(refusal(() => own.useTokens('ann', 200, 0))).to.equal('QuotaError: this host runs at most 600 tokens a minute for a trainer; there is room for these 200 in 20 s')
    own.useTokens('bob', 600, 0)
    now += 20_000
    own.useTokens('ann', 200, 0)
    expect(refusal(() => own.useTokens('ann', 1, 0))).to.match(/^QuotaError/)
  })

  it('is also a batch of more than a minute\'s tokens, which are owed then', () => {
    const own = accounts({ tokensPerMinute: 600 })
    own.useTokens('ann', 1_800, 0)
    now += 180_000 - 1
    expect(refusal(() => own.useTokens('ann', 1_800, 0))).to.match(/in 1 s$/)
    now += 1
    own.useTokens('ann', 1_800, 0)
  })

  it('goes on as fast in the long run, whatever the batches', () => {
    const own = accounts({ tokensPerMinute: 1_000 })
    let tokens = 0
    for (; now < 3_600_000; now += 500) if (refusal(() => own.useTokens('ann', 70, 0)) === 'none') tokens += 70
    expect(tokens / 60).to.be.within(980, 1_020)
  })

  it('is so many jobs within ten minutes', () => {
    const own = accounts({ jobs: 2 })
    for (const job of ['a', 'b', 'a']) own.useJob('ann', job)
    expect(refusal(() => own.useJob('ann', 'c'))).to.match(/^QuotaError: 2 jobs .* makes room in 600 s$/)
    own.useJob('bob', 'c')
    now += 599_999
    own.useJob('ann', 'a')
    expect(refusal(() => own.useJob('ann', 'c'))).to.match(/in 1 s$/)
    now += 1
    own.useJob('ann', 'c')
    expect(refusal(() => own.useJob('ann', 'b'))).to.match(/^QuotaError/)
  })

  it('is no further step while too much of earlier ones waits', () => {
    const own = accounts({ waitingBytes: 100 })
    own.useTokens('ann', 1, 99)
    expect(refusal(() => own.useTokens('ann', 1, 100))).to.match(/^QuotaError: 100 bytes/)
    own.useTokens('ann', 1, 0)
  })

  it('is not nothing, nor a part', () => {
    for (const quotas of [{ jobs: 0 }, { tokensPerMinute: 0.5 }, { waitingBytes: NaN }]) expect(refusal(() => accounts(quotas))).to.match(/^InvalidOptionError/)
  })
})
