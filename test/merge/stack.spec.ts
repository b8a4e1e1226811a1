import { expect } from 'chai'
import { InvalidAdapterError } from '../../src/errors.js'
import { meanOfParameters } from '../../src/merge/mean-of-parameters.js'
import { meanOfProducts } from '../../src/merge/mean-of-products.js'
import { stack } from '../../src/merge/stack.js'
import type { AuxiliarySpec, Site } from '../../src/types.js'
import { relativeError } from '../support/compare.js'
import { contribution, seeded } from './random.js'

const SITES: readonly Site[] = [
  { name: 'h.0.attn', inFeatures: 5, outFeatures: 7 },
  { name: 'h.1.mlp', inFeatures: 6, outFeatures: 3 }
]

describe('merge: one adapter for the mean of products', () => {
  for (const tokens of [[100, 1, 0, 12345], [0, 0, 0], [7]]) {
    it(`has the product that is the mean, for ${tokens.join(', ')} tokens`, () => {
      const spec: AuxiliarySpec = { kind: 'low-rank', rank: 3, alpha: 8 }
      const random = seeded(tokens.length)
      const members = tokens.map(count => contribution(count, spec, SITES, random))
      const stacked = stack(members, spec, SITES)
      expect(stacked.spec).to.deep.equal({ kind: 'low-rank', rank: 3 * tokens.length, alpha: 8 * tokens.length })
      const product = meanOfProducts([{ tokens: 1, adapter: stacked.tensors }], stacked.spec, SITES)
      for (const [site, { values }] of meanOfProducts(members, spec, SITES)) {
        expect(relativeError(product.get(site)!.values, values), site).to.be.below(1e-6)
      }
    })
  }

  it('is the mean itself where there are no factors', () => {
    const spec: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 2 }
    const random = seeded(1)
    const members = [3, 4].map(count => contribution(count, spec, SITES, random))
    expect(stack(members, spec, SITES)).to.deep.equal({ spec, tensors: meanOfParameters(members) })
  })

  it('refuses an adapter of another rank', () => {
    const spec: AuxiliarySpec = { kind: 'low-rank', rank: 3, alpha: 8 }
    const members = [contribution(1, spec, SITES, seeded(1)), contribution(1, { ...spec, rank: 2 }, SITES, seeded(2))]
    expect(() => stack(members, spec, SITES)).to.throw(InvalidAdapterError, /contribution 1.*\[2, 5\]/)
  })
})
