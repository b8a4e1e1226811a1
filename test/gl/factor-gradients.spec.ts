import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { factorGradients, type FittedRows, hasFactors, sumOfRows } from '../../src/gl/factor-gradients.js'
import type { AuxiliarySpec, FloatTensor, Site, SitePair } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'
import { differentiatedFactors, tensorAtRest } from './differentiated-factors.js'

function lowRank (rank: number, ranks: Readonly<Record<string, number>> = {}): AuxiliarySpec {
  return { kind: 'low-rank', rank, alpha: 2 * rank, ranks }
}

/** Who owns rows of a pass. */
const OWNERS: ReadonlyArray<ReadonlyArray<AuxiliarySpec | null>> = [
  [lowRank(3)],
  [lowRank(1), null, lowRank(8)],
  [lowRank(8), lowRank(9), lowRank(2)],
  [null, lowRank(16)],
  [lowRank(2, { [SITES[0].name]: 5, [SITES[2].name]: 1 })],
  [lowRank(1, { [SITES[1].name]: 17 }), null, lowRank(9, { [SITES[0].name]: 2 }), lowRank(3)]
]

/** The first rows of a matrix from one of them. */
function rowsOf ({ shape: [, features], values }: FloatTensor, first: number, count: number): FloatTensor {
  return { shape: [count, features], values: values.slice(first * features, (first + count) * features) }
}

/** What `factorGradients` gives of every site, before rows are summed. */
function applied (blocks: readonly FittedRows[], sites: readonly Site[], data: ReadonlyMap<string, SitePair>): Map<string, Record<'A' | 'B', FloatTensor>> {
  const { inputs, apply } = factorGradients(blocks, sites)
  const tensor = (name: string): tf.Tensor3D => {
    const { shape, values } = inputs.get(name)!
    return tf.tensor3d(values, shape as [number, number, number])
  }
  return new Map(sites.map(site => {
    const { x, gradient } = data.get(site.name)!
    const made = tf.tidy(() => apply(site, tf.tensor2d(x.values, x.shape as [number, number]), tf.tensor2d(gradient.values, gradient.shape as [number, number]), tensor))
    const atRest = { A: tensorAtRest(made.A), B: tensorAtRest(made.B) }
    tf.dispose(made)
    return [site.name, atRest]
  }))
}

describe('gl: gradients of factors', () => {
  before(async () => { await startBackend() })

  for (const length of [1, 5]) {
    for (const owners of OWNERS) {
      it(`are those of each owner's rows by themselves, ranks ${owners.map(spec => JSON.stringify(spec && [spec.rank, spec.ranks])).join()}, ${length} tokens a row`, () => {
        const before = tf.memory().numTensors
        const random = seeded(7)
        const blocks = owners.map((spec, i) => ({ rows: i + 1, fitted: spec && { spec, adapter: randomAdapter(spec, SITES, random) } }))
        const rows = blocks.reduce((sum, block) => sum + block.rows, 0)
        const data = new Map(SITES.map(({ name, inFeatures, outFeatures }) =>
          [name, { x: uniform([rows * length, inFeatures], random), gradient: uniform([rows * length, outFeatures], random) }]))
        const results = applied(blocks, SITES, data)
        for (const site of SITES) {
          const { A: a, B: b } = results.get(site.name)!
          const { x, gradient } = data.get(site.name)!
          let row = 0
          for (const { rows: count, fitted } of blocks) {
            const cut = ({ shape: [all, ...rest], values }: FloatTensor): FloatTensor => {
              const size = values.length / all
              return { shape: [count, ...rest], values: values.subarray(row * size, (row + count) * size) }
            }
            if (fitted === null) {
              expect(Math.max(...cut(a).values, ...cut(b).values)).to.equal(0)
            } else {
              const { factors } = sumOfRows(fitted.spec, site.name, cut(a), cut(b))
              const expected = differentiatedFactors(fitted.spec, site, fitted.adapter.get(site.name)!, { x: rowsOf(x, row * length, count * length), gradient: rowsOf(gradient, row * length, count * length) })
              expect([...factors.keys()]).to.deep.equal([...expected.factors.keys()])
              for (const [name, { shape, values }] of expected.factors) {
                expect(factors.get(name)!.shape).to.deep.equal(shape)
                expect(relativeError(factors.get(name)!.values, values), `${site.name}.${name}`).to.be.below(1e-5)
              }
            }
            row += count
          }
        }
        expect(tf.memory().numTensors).to.equal(before)
      })
    }
  }

  it('are zero where an auxiliary has nothing for a site', () => {
    const [first, second] = SITES
    const spec = lowRank(2)
    const random = seeded(3)
    const blocks = [{ rows: 2, fitted: { spec, adapter: randomAdapter(spec, [first], random) } }]
    const data = new Map([first, second].map(({ name, inFeatures, outFeatures }) => [name, { x: uniform([2, inFeatures], random), gradient: uniform([2, outFeatures], random) }]))
    const results = applied(blocks, [first, second], data)
    expect(Math.max(...results.get(first.name)!.A.values)).to.be.above(0)
    for (const { values } of Object.values(results.get(second.name)!)) expect(values.every(value => value === 0)).to.equal(true)
  })

  it('are had of low-rank auxiliaries alone', () => {
    expect(hasFactors(lowRank(2))).to.equal(true)
    for (const kind of ['linear', 'mlp'] as const) expect(hasFactors({ kind, rank: 1, alpha: 1 })).to.equal(false)
  })
})
