import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { lowRankStandIn } from '../../src/gl/low-rank-stand-in.js'
import { prunedStandIn } from '../../src/gl/pruned-stand-in.js'
import { relativeError as errorOf, truncate } from '../../src/merge/truncate.js'
import { product } from '../../src/tensor/matrix.js'
import type { FloatTensor } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'

function matrix (rows: number, columns: number, random: () => number): FloatTensor {
  return { shape: [rows, columns], values: Float32Array.from({ length: rows * columns }, () => random() - 0.5) }
}

/** Inputs `[in, places]` that differ in size, some of which are sums of others, and the sum of x·xᵀ. */
function inputs (inFeatures: number, places: number, random: () => number): { x: FloatTensor, moment: FloatTensor } {
  const mix = matrix(inFeatures, inFeatures, random)
  const scaled = matrix(inFeatures, places, random)
  scaled.values.forEach((value, i) => { scaled.values[i] = value * 3 ** -Math.floor(i / places) })
  const x = product(mix, scaled)
  const turned = { shape: [places, inFeatures], values: Float32Array.from(x.values, (_, i) => x.values[(i % inFeatures) * places + Math.floor(i / inFeatures)]) }
  return { x, moment: product(x, turned) }
}

/** ‖(W − W′)·X‖ / ‖W·X‖ */
function outputError (weight: FloatTensor, other: FloatTensor, x: FloatTensor): number {
  return relativeError(product(other, x).values, product(weight, x).values)
}

describe('gl: matrices that stand in for others', () => {
  let before: number
  beforeEach(() => { before = tf.memory().numTensors })
  afterEach(() => expect(tf.memory().numTensors).to.equal(before))

  for (const [outFeatures, inFeatures] of [[9, 6], [6, 9], [7, 7], [5, 1], [1, 5]]) {
    it(`of low rank are the nearest where all inputs are alike, [${outFeatures}, ${inFeatures}]`, () => {
      const random = seeded(outFeatures)
      const weight = matrix(outFeatures, inFeatures, random)
      const alike = { shape: [inFeatures, inFeatures], values: Float32Array.from({ length: inFeatures ** 2 }, (_, i) => i % (inFeatures + 1) === 0 ? 2 : 0) }
      for (let rank = 1; rank <= Math.min(outFeatures, inFeatures); rank++) {
        const { u, v } = lowRankStandIn(weight, alike, rank)
        expect([u.shape, v.shape]).to.deep.equal([[outFeatures, rank], [rank, inFeatures]])
        expect(relativeError(product(u, v).values, weight.values)).to.be.closeTo(errorOf([truncate({ weight }, { rank })]), 1e-5)
      }
    })

    it(`of low rank move outputs least, and weigh the same on both sides, [${outFeatures}, ${inFeatures}]`, () => {
      const random = seeded(outFeatures + 20)
      const weight = matrix(outFeatures, inFeatures, random)
      const { x, moment } = inputs(inFeatures, 30, random)
      for (let rank = 1; rank <= Math.min(outFeatures, inFeatures); rank++) {
        const { u, v } = lowRankStandIn(weight, moment, rank)
        const found = outputError(weight, product(u, v), x)
        const best = errorOf([truncate({ weight: product(weight, x) }, { rank })]) // no outputs of that rank are nearer
        expect(found).to.be.closeTo(best, 1e-3)
        for (let r = 0; r < rank; r++) {
          const column = Array.from({ length: outFeatures }, (_, o) => u.values[o * rank + r])
          expect(Math.hypot(...column)).to.be.closeTo(Math.hypot(...v.values.subarray(r * inFeatures, (r + 1) * inFeatures)), 1e-5)
        }
      }
    })
  }

  it('of low rank are finite where inputs never came', () => {
    const weight = matrix(4, 3, seeded(1))
    for (const values of [new Float32Array(9), Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0, 0)]) {
      const { u, v } = lowRankStandIn(weight, { shape: [3, 3], values }, 2)
      expect([...u.values, ...v.values].every(Number.isFinite)).to.be.true
    }
  })

  it('that are pruned keep of each row what counts most, and move outputs less than without a look at inputs', () => {
    const random = seeded(5)
    const weight = matrix(8, 6, random)
    const { x, moment } = inputs(6, 40, random)
    const made = prunedStandIn(weight, moment, 2)
    for (let o = 0; o < 8; o++) {
      const scores = Array.from({ length: 6 }, (_, i) => Math.abs(weight.values[o * 6 + i]) * Math.sqrt(moment.values[7 * i]))
      const least = [...scores].sort((a, b) => b - a)[1]
      const expected = scores.map((score, i) => score >= least ? weight.values[o * 6 + i] : 0)
      expect([...made.values.subarray(o * 6, (o + 1) * 6)]).to.deep.equal(expected)
    }
    const alike = { shape: [6, 6], values: new Float32Array(36).fill(1) }
    expect(outputError(weight, made, x)).to.be.below(outputError(weight, prunedStandIn(weight, alike, 2), x))
    expect(prunedStandIn(weight, moment, 6)).to.deep.equal(weight)
  })
})
