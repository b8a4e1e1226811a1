import { expect } from 'chai'
import { encodeParts } from '../../../src/node/host/encoded-part.js'
import { decodeAdaptation, pairLayout } from '../../../src/tensor/adaptation.js'
import { randomData } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { emptyBatch } from '../../support/batch.js'

const TOKENS = 1000

/** x of 4 MB each: two sites fill a part. */
const SITES = ['a.k', 'a.o', 'a.q', 'a.v', 'b.k', 'b.q'].map(name => ({ name, inFeatures: 1000, outFeatures: 8 }))
const SHARED = [['a.k', 'a.q', 'a.v'], ['b.k', 'b.q']]

describe('parts of adaptation data', () => {
  const random = randomData(SITES, TOKENS, seeded(1))
  const data = new Map([...random].map(([site, own]) => {
    const first = SHARED.find(names => names.includes(site))?.[0]
    return [site, first === undefined ? own : { ...own, x: random.get(first)!.x }]
  }))

  it('have each x once, with all sites of which it is', () => {
    const parts = [...encodeParts(data, 'f32')]
    expect(parts.flatMap(({ sites }) => sites).sort()).to.deep.equal(SITES.map(({ name }) => name).sort())
    for (const names of SHARED) expect(parts.filter(({ sites }) => sites.some(site => names.includes(site)))).to.have.lengthOf(1)
    const bytes = parts.reduce((sum, part) => sum + part.bytes.byteLength, 0)
    expect(bytes).to.be.below(4 * TOKENS * (3 * 1000 + SITES.length * 8) + parts.length * 2000)
    for (const { sites, bytes } of parts) {
      const decoded = decodeAdaptation(bytes, pairLayout(sites.map(name => SITES.find(site => site.name === name)!), emptyBatch(1, TOKENS)))
      expect([...decoded.keys()]).to.deep.equal(sites)
      for (const [site, own] of decoded) expect(own).to.deep.equal(data.get(site))
    }
  })

  it('are those of neighbouring sites where no x is shared', () => {
    expect([...encodeParts(random, 'f32')].flatMap(({ sites }) => sites)).to.deep.equal(SITES.map(({ name }) => name))
  })
})
