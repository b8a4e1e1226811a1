import { expect } from 'chai'
import { InvalidAdapterError } from '../../src/errors.js'
import { meanOfParameters } from '../../src/merge/mean-of-parameters.js'
import type { Weighted } from '../../src/merge/weighted.js'
import { AUXILIARY_KINDS, type AuxiliarySpec, type Site } from '../../src/types.js'
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

  it('of a site is that of those who have it', () => {
    const random = seeded(5)
    const [first, second, third] = [...SITES, { name: 'c', inFeatures: 2, outFeatures: 2 }]
    const members = [contribution(3, SPEC, [first], random), contribution(5, SPEC, [first, second], random), contribution(2, SPEC, [second, third], random)]
    const mean = meanOfParameters(members)
    expect([...mean.keys()]).to.deep.equal(['a', 'b', 'c'])
    const at = (site: string, ...own: number[]): Weighted[] => own.map(k => ({ ...members[k], adapter: new Map([[site, members[k].adapter.get(site)!]]) }))
    for (const [site, ...own] of [['a', 0, 1], ['b', 1, 2], ['c', 2]] as const) expect(mean.get(site)).to.deep.equal(meanOfParameters(at(site, ...own)).get(site))
    expect(mean.get('c')).to.deep.equal(members[2].adapter.get('c'))
  })

  it('of members that have shared the sites among them is all that they have', () => {
    const members = SITES.map((site, k) => contribution(k, SPEC, [site], seeded(6)))
    expect(meanOfParameters(members)).to.deep.equal(new Map(members.flatMap(({ adapter }) => [...adapter])))
  })

  it('is that of every kind, with ranks by site', () => {
    for (const kind of AUXILIARY_KINDS) {
      const spec: AuxiliarySpec = { kind, rank: 2, alpha: 2, ranks: { b: 4 } }
      const [one, two] = [1, 3].map(tokens => contribution(tokens, spec, SITES, seeded(tokens)))
      for (const [site, parameters] of meanOfParameters([one, two])) {
        expect([...parameters.keys()]).to.deep.equal([...one.adapter.get(site)!.keys()])
        for (const [name, { shape, values }] of parameters) {
          const [first, second] = [one, two].map(({ adapter }) => adapter.get(site)!.get(name)!)
          expect(shape).to.deep.equal(first.shape)
          expect([...values]).to.deep.equal([...first.values].map((value, i) => Math.fround(0.25 * value + 0.75 * second.values[i])))
        }
      }
    }
  })

  it('refuses adapters that differ in parameters or shapes', () => {
    const right = contribution(1, SPEC, SITES, seeded(4))
    const others = [
      contribution(1, { ...SPEC, kind: 'linear' }, SITES, seeded(4)),
      contribution(1, { ...SPEC, kind: 'mlp' }, SITES, seeded(4)),
      contribution(1, { ...SPEC, rank: 3 }, SITES, seeded(4)),
      contribution(1, { ...SPEC, ranks: { b: 3 } }, SITES, seeded(4))
    ]
    for (const other of others) {
      for (const members of [[right, other], [other, right]]) expect(() => meanOfParameters(members)).to.throw(InvalidAdapterError)
    }
  })
})
