import { expect } from 'chai'
import { InvalidAdapterError } from '../../src/errors.js'
import { meanOfParameters } from '../../src/merge/mean-of-parameters.js'
import type { Weighted } from '../../src/merge/weighted.js'
import type { AuxiliarySpec, Site } from '../../src/types.js'
import { contribution, seeded } from './random.js'

const SITES: readonly Site[] = [{ name: 'a', inFeatures: 4, outFeatures: 3 }, { name: 'b', inFeatures: 1, outFeatures: 1 }]
const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 2 }

function values (members: readonly Weighted[], site: string, name: string): Float32Array {
  return meanOfParameters(members).get(site)!.get(name)!.values
}

describe('merge: the mean of parameters', () => {
  it('is the common start plus the token-weighted mean of the moves', () => {
    const random = seeded(1)
    const members = [3, 5, 0].map(tokens => contribution(tokens, SPEC, SITES, random))
    const start = contribution(0, SPEC, SITES, random)
    for (const [site, parameters] of start.adapter) {
      for (const [name, { shape, values: w0 }] of parameters) {
        expect(meanOfParameters(members).get(site)!.get(name)!.shape).to.deep.equal(shape)
        const mean = values(members, site, name)
        for (const [i, w] of w0.entries()) {
          const moved = members.reduce((sum, { tokens, adapter }) => sum + tokens / 8 * (adapter.get(site)!.get(name)!.values[i] - w), w)
          expect(mean[i]).to.be.closeTo(moved, 1e-7)
        }
      }
    }
  })

  it('of equals is itself, to the bit', () => {
    const one = contribution(10, SPEC, SITES, seeded(2))
    expect(meanOfParameters([one, { ...one, tokens: 3 }, { ...one, tokens: 77 }])).to.deep.equal(one.adapter)
    expect(meanOfParameters([one])).to.deep.equal(one.adapter)
  })

  it('weighs all the same where nobody has seen a token', () => {
    const random = seeded(3)
    const members = [0, 0].map(tokens => contribution(tokens, SPEC, SITES, random))
    expect(meanOfParameters(members)).to.deep.equal(meanOfParameters(members.map(member => ({ ...member, tokens: 9 }))))
  })

  it('is nothing at all without contributions', () => {
    expect(meanOfParameters([]).size).to.equal(0)
  })

  it('refuses adapters that differ in sites, parameters or shapes', () => {
    const right = contribution(1, SPEC, SITES, seeded(4))
    const others = [
      contribution(1, SPEC, SITES.slice(1), seeded(4)),
      contribution(1, SPEC, [...SITES, { name: 'c', inFeatures: 1, outFeatures: 1 }], seeded(4)),
      contribution(1, { ...SPEC, kind: 'linear' }, SITES, seeded(4)),
      contribution(1, { ...SPEC, rank: 3 }, SITES, seeded(4))
    ]
    for (const other of others) {
      expect(() => meanOfParameters([right, other])).to.throw(InvalidAdapterError).with.property('message').that.includes('contribution 1')
    }
  })
})
