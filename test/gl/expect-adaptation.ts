import { expect } from 'chai'
import { namedAdaptation } from '../../src/tensor/adaptation.js'
import type { AdaptationData, NamedTensors } from '../../src/types.js'
import { relativeError } from '../support/compare.js'

/**
 * The same sites, tensors and shapes, their values within a relative error: pairs each by itself; what is summed over tokens
 * all together, as a sum over tokens may be small beside what it is a sum of.
 */
export function expectAdaptation (actual: AdaptationData, expected: AdaptationData, tolerance: number): void {
  const [own, others] = [namedAdaptation(actual), namedAdaptation(expected)]
  expect([...own.keys()]).to.deep.equal([...others.keys()])
  for (const [name, { shape }] of others) expect(own.get(name)!.shape, name).to.deep.equal(shape)
  if ([...expected.values()].some(data => !('x' in data))) {
    const all = (tensors: NamedTensors): number[] => [...tensors.values()].flatMap(({ values }) => [...values])
    expect(relativeError(all(own), all(others)), 'sums').to.be.below(tolerance)
    return
  }
  for (const [name, { values }] of others) expect(relativeError(own.get(name)!.values, values), name).to.be.below(tolerance)
}
