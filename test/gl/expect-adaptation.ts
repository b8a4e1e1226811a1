import { expect } from 'chai'
import { namedAdaptation } from '../../src/tensor/adaptation.js'
import type { AdaptationData } from '../../src/types.js'
import { relativeError } from '../support/compare.js'

/** The same sites, tensors and shapes, their values within a relative error. */
export function expectAdaptation (actual: AdaptationData, expected: AdaptationData, tolerance: number): void {
  const [own, others] = [namedAdaptation(actual), namedAdaptation(expected)]
  expect([...own.keys()]).to.deep.equal([...others.keys()])
  for (const [name, { shape, values }] of others) {
    const found = own.get(name)!
    expect(found.shape, name).to.deep.equal(shape)
    expect(relativeError(found.values, values), name).to.be.below(tolerance)
  }
}
