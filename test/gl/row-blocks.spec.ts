import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { applyAuxiliary, parameterShapes } from '../../src/gl/auxiliary.js'
import { joinBlocks, type RowBlock } from '../../src/gl/row-blocks.js'
import type { AuxiliaryKind, AuxiliarySpec, FloatTensor, Site } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'

const random = seeded(1)
/** At which a module stands in a row. */
const PLACES = 3
const block = (rows: number, ...specs: AuxiliarySpec[]): RowBlock => ({ rows, own: specs.map(spec => ({ spec, adapter: randomAdapter(spec, SITES, random) })) })
const nobody = (rows: number): RowBlock => ({ rows, own: [] })
const shared = block(2, { kind: 'low-rank', rank: 3, alpha: 6 })
const [WIDE, TALL, SQUARE] = SITES.map(({ name }) => name)
const BY_SITE: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 4, ranks: { [TALL]: 9, [SQUARE]: 1 }, alphas: { [WIDE]: 0.5, [TALL]: 7 } }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 3 }
const MLP: AuxiliarySpec = { kind: 'mlp', rank: 2, alpha: 1 }

const MIXTURES: Readonly<Record<string, readonly RowBlock[]>> = {
  'one low-rank auxiliary': [block(4, { kind: 'low-rank', rank: 8, alpha: 8 })],
  'low-rank auxiliaries of several ranks and α': [1, 4, 16, 2].map((rank, i) => block(i + 1, { kind: 'low-rank', rank, alpha: i + 0.5 })),
  'linear auxiliaries': [block(2, { kind: 'linear', rank: 1, alpha: 1 }), block(3, { kind: 'linear', rank: 2, alpha: 1 })],
  'both kinds, with rows of nobody between and after them': [
    nobody(1), block(2, { kind: 'low-rank', rank: 5, alpha: 2 }), block(1, { kind: 'linear', rank: 1, alpha: 3 }), nobody(2), block(2, { kind: 'low-rank', rank: 2, alpha: 2 }), nobody(1)
  ],
  'low-rank auxiliaries of ranks and α by site': [block(2, BY_SITE), block(1, { ...BY_SITE, ranks: { [WIDE]: 11 }, rankStabilised: true }), block(2, { kind: 'low-rank', rank: 3, alpha: 3 })],
  'linear auxiliaries of α by site': [block(2, { ...LINEAR, alphas: { [WIDE]: 0.5 } }), nobody(1), block(1, { ...LINEAR, rank: 4, ranks: { [TALL]: 2 } })],
  'an MLP': [block(3, MLP)],
  'an MLP beside low-rank auxiliaries of others': [block(2, BY_SITE), block(3, MLP), nobody(1), block(1, { kind: 'low-rank', rank: 1, alpha: 1 }), block(1, { ...MLP, alphas: { [SQUARE]: 4 } })],
  'several auxiliaries of one block': [nobody(1), block(2, BY_SITE, { kind: 'low-rank', rank: 3, alpha: 1 }), block(1, BY_SITE)],
  'several auxiliaries of all kinds of one block': [block(2, BY_SITE, LINEAR, MLP, LINEAR), block(2, MLP, BY_SITE)],
  'blocks that have one auxiliary alike, and another of their own': [{ rows: 2, own: [...shared.own, ...block(0, BY_SITE).own] }, { rows: 1, own: [...block(0, MLP).own, ...shared.own] }, shared],
  'one auxiliary of two blocks': [shared, block(1, { kind: 'low-rank', rank: 1, alpha: 1 }), { ...shared, rows: 3 }]
}

/** Of each block's rows by its own auxiliaries, one after the other. */
function apart (blocks: readonly RowBlock[], site: Site, x: tf.Tensor2D): tf.Tensor2D {
  let begin = 0
  return tf.concat(blocks.map(({ rows, own }) => {
    const places = rows * PLACES
    const part = tf.slice(x, [begin, 0], [places, site.inFeatures])
    begin += places
    return own.reduce((sum, { spec, adapter }) =>
      tf.add(sum, applyAuxiliary(spec, site, part, [...parameterShapes(spec, site).keys()].map(name => tensor(adapter.get(site.name)!.get(name)!)))), tf.zeros<tf.Rank.R2>([places, site.outFeatures]))
  }))
}

function tensor ({ values, shape }: FloatTensor): tf.Tensor2D {
  return tf.tensor(values, shape as [number, number])
}

describe('gl: auxiliaries of many owners', () => {
  before(async () => { await startBackend() })

  for (const [what, blocks] of Object.entries(MIXTURES)) {
    it(`add to each row what its owner's do, ${what}`, async () => {
      const before = tf.memory().numTensors
      const { inputs, apply } = joinBlocks(blocks, SITES.map(({ name }) => name))
      const places = PLACES * blocks.reduce((sum, { rows }) => sum + rows, 0)
      for (const site of SITES) {
        const [actual, expected] = tf.tidy(() => {
          const x = tensor(uniform([places, site.inFeatures], random))
          return [apply(site, x, name => tensor(inputs.get(name)!))!, apart(blocks, site, x)]
        })
        expect(actual.shape).to.deep.equal([places, site.outFeatures])
        expect(relativeError(await actual.data(), await expected.data()), site.name).to.be.below(1e-6)
        tf.dispose([actual, expected])
      }
      expect(tf.memory().numTensors).to.equal(before)
    })
  }

  it('are stacked once for all blocks that share them', () => {
    const { inputs } = joinBlocks(MIXTURES['one auxiliary of two blocks'], [SITES[0].name])
    expect(inputs.get(`${SITES[0].name}|A`)!.shape[0]).to.equal(8) // 3 + 1, filled up
  })

  for (const kinds of [['low-rank', 'linear'], ['mlp', 'low-rank'], ['linear', 'mlp'], ['low-rank', 'low-rank']] as const) {
    it(`are nothing at a site that none of them has, and need not all have the same, ${kinds.join(' and ')}`, async () => {
      const [first, second, third] = SITES
      const of = (site: Site, kind: AuxiliaryKind): RowBlock => {
        const spec: AuxiliarySpec = { kind, rank: 2, alpha: 2, ranks: { [second.name]: 5 } }
        return { rows: 2, own: [{ spec, adapter: randomAdapter(spec, [site], random) }] }
      }
      const blocks = [of(first, kinds[0]), of(second, kinds[1])]
      const { inputs, apply } = joinBlocks(blocks, [first.name, second.name])
      const given = (name: string): tf.Tensor2D => tensor(inputs.get(name)!)
      expect(apply(third, tf.zeros([4, third.inFeatures]), given)).to.equal(undefined)
      for (const [i, site] of [first, second].entries()) {
        const output = await tf.tidy(() => apply(site, tf.ones([4, site.inFeatures]), given)!).array()
        expect(output.map(row => row.some(value => value !== 0))).to.deep.equal([i === 0, i === 0, i === 1, i === 1])
      }
    })
  }

  it('of one block need not have the same sites', () => {
    const [first, second] = SITES
    const [a, b] = [randomAdapter(BY_SITE, [first], random), randomAdapter(MLP, [second], random)]
    const together = joinBlocks([{ rows: 2, own: [{ spec: BY_SITE, adapter: a }, { spec: MLP, adapter: b }] }], [first.name, second.name])
    for (const [site, spec, adapter] of [[first, BY_SITE, a], [second, MLP, b]] as const) {
      tf.tidy(() => {
        const x = tensor(uniform([2 * PLACES, site.inFeatures], random))
        const expected = applyAuxiliary(spec, site, x, [...adapter.get(site.name)!.values()].map(tensor))
        expect(relativeError(together.apply(site, x, name => tensor(together.inputs.get(name)!))!.dataSync(), expected.dataSync()), site.name).to.be.below(1e-6)
      })
    }
  })

  it('have one key for one kind of work, whoever the owners are', () => {
    const spec: AuxiliarySpec = { kind: 'low-rank', rank: 4, alpha: 4 }
    const keyOf = (...blocks: RowBlock[]): string => joinBlocks(blocks, [SITES[0].name]).key
    expect(keyOf(block(4, spec), block(4, spec))).to.equal(keyOf(block(6, { ...spec, alpha: 1 }), nobody(2)))
    expect(keyOf(block(8, spec, { ...spec, rank: 7 }))).to.equal(keyOf(block(8, { ...spec, alphas: { [WIDE]: 2 }, ranks: { [WIDE]: 6 } }), nobody(0)))
    const linear: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }
    expect(keyOf(block(8, linear, MLP))).to.equal(keyOf(block(8, { ...linear, alpha: 2 }, { ...MLP, alphas: { [WIDE]: 3 } })))
    const keys = [keyOf(block(8, spec)), keyOf(block(8, linear)), keyOf(nobody(4), block(4, linear)), keyOf(block(4, linear), nobody(4)), keyOf(block(8, MLP)), keyOf(block(8, MLP, MLP)), keyOf(block(8, spec, MLP))]
    expect(new Set(keys).size).to.equal(keys.length)
  })
})
