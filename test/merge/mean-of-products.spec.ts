import { expect } from 'chai'
import { InvalidAdapterError } from '../../src/errors.js'
import { ContributionMap } from '../../src/merge/contribution-map.js'
import { deltaHash } from '../../src/merge/delta-hash.js'
import { meanOfProducts } from '../../src/merge/mean-of-products.js'
import type { Weighted } from '../../src/merge/weighted.js'
import type { AuxiliarySpec, Site } from '../../src/types.js'
import { mixtures, SITES } from './mixtures.js'
import { contribution, seeded, shuffled } from './random.js'
import { meanProductAt } from './reference.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 3, alpha: 8 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 2 }

function expectReference (members: readonly Weighted[], sites: readonly Site[]): void {
  const delta = meanOfProducts(members, sites)
  expect([...delta.keys()]).to.deep.equal(sites.map(({ name }) => name))
  for (const site of sites) {
    const { shape, values } = delta.get(site.name)!
    expect(shape).to.deep.equal([site.outFeatures, site.inFeatures])
    const expected = meanProductAt(members, site)
    expect(values.length).to.equal(expected.length)
    for (const [i, value] of expected.entries()) expect(Math.abs(values[i] - value)).to.be.at.most(1e-7 * Math.max(1, Math.abs(value)))
  }
}

describe('merge: the mean of products', () => {
  for (const spec of [LOW_RANK, LINEAR]) {
    it(`is the formula, ${spec.kind}`, () => {
      const random = seeded(1)
      expectReference([100, 1, 0, 12345].map(tokens => contribution(tokens, spec, SITES, random)), SITES)
    })

    it(`has the same bits in whichever order contributions came, ${spec.kind}`, () => {
      const random = seeded(2)
      const records = ['c', 'a', 'd', 'b', 'e'].map((peer, i) => ({ peer, round: 1, id: `${i}`, ...contribution(7 * i + 1, spec, SITES, random) }))
      const hashes = Array.from({ length: 30 }, () => {
        const map = new ContributionMap<typeof records[number]>()
        for (const record of shuffled(records, random)) map.add(record)
        return deltaHash(meanOfProducts([...map], SITES))
      })
      expect(new Set(hashes).size).to.equal(1)
    })

    it(`of equals is itself, ${spec.kind}`, () => {
      const one = contribution(10, spec, SITES, seeded(3))
      const alone = meanOfProducts([one], SITES)
      const together = meanOfProducts([one, { ...one, tokens: 3 }, { ...one, tokens: 0 }], SITES)
      for (const { name } of SITES) {
        for (const [i, value] of alone.get(name)!.values.entries()) expect(together.get(name)!.values[i]).to.be.closeTo(value, 1e-7)
      }
    })

    it(`weighs all the same where nobody has seen a token, ${spec.kind}`, () => {
      const random = seeded(4)
      const members = [0, 0, 0].map(tokens => contribution(tokens, spec, SITES, random))
      expectReference(members, SITES)
      const one = members.map(member => ({ ...member, tokens: 1 }))
      expect(deltaHash(meanOfProducts(members, SITES))).to.equal(deltaHash(meanOfProducts(one, SITES)))
    })
  }

  for (const [what, members] of mixtures()) {
    it(`is the formula with each member's own shape, and its share among those that have the site: ${what}`, () => {
      expectReference(members, SITES)
    })
  }

  it('is zero at a site that nobody has, and of auxiliaries that are no ΔW', () => {
    const [first, ...others] = SITES
    const members = [contribution(3, LOW_RANK, [first], seeded(9)), contribution(2, { kind: 'mlp', rank: 1, alpha: 1 }, others, seeded(9))]
    expectReference(members, SITES)
    for (const { name } of others) expect(meanOfProducts(members, SITES).get(name)!.values.every(value => value === 0)).to.be.true
  })

  it('holds for every rank and number of members', () => {
    const random = seeded(5)
    const sites = [{ name: 'least', inFeatures: 1, outFeatures: 1 }, { name: 'row', inFeatures: 9, outFeatures: 1 }, { name: 'column', inFeatures: 1, outFeatures: 9 }]
    for (const rank of [1, 2, 3, 4, 5, 8]) {
      for (const members of [1, 2, 3, 5]) {
        const spec: AuxiliarySpec = { kind: 'low-rank', rank, alpha: 1 }
        expectReference(Array.from({ length: members }, (_, k) => contribution(k + 1, spec, sites, random)), sites)
      }
    }
  })

  it('averages products, never A and B apart', () => {
    const site = { name: 's', inFeatures: 1, outFeatures: 1 }
    const member = (a: number, b: number): Weighted => ({
      tokens: 1,
      spec: { kind: 'low-rank', rank: 1, alpha: 1 },
      adapter: new Map([['s', new Map([
        ['lora_A.weight', { shape: [1, 1], values: Float32Array.of(a) }],
        ['lora_B.weight', { shape: [1, 1], values: Float32Array.of(b) }]
      ])]])
    })
    const { values } = meanOfProducts([member(1, 1), member(-1, -1)], [site]).get('s')!
    expect([...values]).to.deep.equal([1]) // while mean(B)·mean(A) = 0
  })

  it('is zero for auxiliaries at their start', () => {
    const start = contribution(5, LOW_RANK, SITES, seeded(6))
    for (const own of start.adapter.values()) own.get('lora_B.weight')!.values.fill(0)
    for (const { values } of meanOfProducts([start], SITES).values()) expect(values.every(value => value === 0)).to.be.true
  })

  it('is nothing at all without contributions, and without sites', () => {
    expect(meanOfProducts([], SITES).size).to.equal(0)
    expect(meanOfProducts([contribution(1, LOW_RANK, SITES, seeded(7))], []).size).to.equal(0)
  })

  it('refuses adapters of other kinds and shapes than they are said to have', () => {
    const right = contribution(1, LOW_RANK, SITES, seeded(8))
    const [site, other] = SITES
    const others: readonly Weighted[] = [
      contribution(1, LINEAR, SITES, seeded(8)),
      contribution(1, { ...LOW_RANK, rank: 2 }, SITES, seeded(8)),
      contribution(1, { ...LOW_RANK, ranks: { [other.name]: 2 } }, SITES, seeded(8)),
      contribution(1, LOW_RANK, [site, { ...other, inFeatures: 5 }], seeded(8)),
      contribution(1, LOW_RANK, [site, { ...other, outFeatures: 5 }], seeded(8))
    ].map(wrong => ({ ...wrong, spec: LOW_RANK }))
    for (const wrong of others) {
      expect(() => meanOfProducts([right, wrong], SITES)).to.throw(InvalidAdapterError).with.property('name', 'InvalidAdapterError')
    }
    expect(() => meanOfProducts([{ ...right, spec: LINEAR }], SITES)).to.throw(InvalidAdapterError)
    const refusal = expect(() => meanOfProducts([right, others[1]], SITES)).to.throw(InvalidAdapterError)
    for (const part of ['h.0.attn', '[2, 5]', '[3, 5]']) refusal.with.property('message').that.includes(part)
  })
})
