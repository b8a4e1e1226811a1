import { expect } from 'chai'
import type { LentResult } from '../../src/node/host/lent-model.js'
import type { AdaptationData, FloatTensor, SiteData } from '../../src/types.js'
import { expectAdaptation } from '../gl/expect-adaptation.js'
import { relativeError } from '../support/compare.js'

/** Relative errors. */
export interface Tolerance {
  readonly loss: number
  readonly tensors: number
}

/** A gradient that is so small beside the loss is what float32 rounds off. */
const ROUNDING = 2 ** -20

/**
 * The same loss, predictions that count, adaptation data and, where they are wanted, logits. Where a token looks at nothing
 * but itself the gradients of queries and keys are zero, and what comes of them in float32 is not compared.
 */
export function expectSameResult (actual: LentResult, expected: LentResult, tolerance: Tolerance): void {
  expect(actual.loss).to.be.above(0)
  expect(relativeError([actual.loss], [expected.loss]), 'loss').to.be.below(tolerance.loss)
  expect(actual.tokens).to.equal(expected.tokens)
  expect(actual.logits?.shape).to.deep.equal(expected.logits?.shape)
  expect(relativeError(actual.logits?.values ?? [], expected.logits?.values ?? []), 'logits').to.be.below(tolerance.tensors)
  expectAdaptation(withoutRounding(actual), withoutRounding(expected), tolerance.tensors)
}

function withoutRounding ({ data, loss }: LentResult): AdaptationData {
  const cleared = (gradient: FloatTensor): FloatTensor =>
    Math.hypot(...gradient.values) > ROUNDING * loss ? gradient : { ...gradient, values: new Float32Array(gradient.values.length) }
  return new Map([...data].map(([site, own]): [string, SiteData] => {
    if ('factors' in own) return [site, { factors: new Map([...own.factors].map(([parameter, gradient]) => [parameter, cleared(gradient)])) }]
    return [site, 'product' in own ? { product: cleared(own.product) } : { ...own, gradient: cleared(own.gradient) }]
  }))
}
