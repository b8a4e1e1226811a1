import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import type { SeenBeside } from '../../src/gl/auxiliary-definition.js'
import { ComposedAuxiliary } from '../../src/gl/composed-auxiliary.js'
import type { FittedAuxiliary } from '../../src/gl/fitted-auxiliary.js'
import { squaredNormsOfRows, squaredNormsRowByRow } from '../../src/gl/row-norms.js'
import { inputShape, outputShape } from '../../src/places.js'
import { AUXILIARY_KINDS, type AuxiliarySpec, type Site } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { onPlainBackend } from '../support/plain-backend.js'
import { uniform } from './adaptation.js'
import { CONVOLUTIONS } from './convolve.js'
import { isPossible } from './possible.js'
import { randomAuxiliary } from './random-auxiliary.js'

const PLAIN: Site = { name: 'plain', inFeatures: 13, outFeatures: 9 }
const EMBEDDING: Site = { name: 'wte', inFeatures: 17, outFeatures: 6, embedding: true }

/** Sites, and places in a row where the site does not say: few of them and many are done in two ways. */
const CASES: ReadonlyArray<readonly [site: Site, places: number]> = [
  [PLAIN, 1], [PLAIN, 3], [PLAIN, 12], [EMBEDDING, 2], [EMBEDDING, 9], ...CONVOLUTIONS.map(site => [site, 1] as const)
]

/** `[places, in]`, see `SitePair`. */
function inputOf (site: Site, rows: number, places: number, random: () => number): tf.Tensor2D {
  const shape = inputShape(site, rows, { input: places, target: places })
  return site.embedding === true
    ? tf.tensor2d(Int32Array.from({ length: shape[0] }, () => Math.floor(random() * site.inFeatures)), shape, 'int32')
    : tf.tensor2d(uniform(shape, random).values, shape)
}

/** Squared norms of the gradients of each row alone. */
function rowByRow (auxiliary: FittedAuxiliary, x: tf.Tensor2D, gradient: tf.Tensor2D, rows: number, seen: SeenBeside = {}): number[] {
  return Array.from({ length: rows }, (_, row) => {
    const own = (of: tf.Tensor2D): tf.Tensor2D => tf.slice(of, [row * of.shape[0] / rows, 0], [of.shape[0] / rows, of.shape[1]])
    const gradients = auxiliary.gradients(own(x), own(gradient), { ...seen, ...(seen.output && { output: own(seen.output) }) })
    return tf.addN([...gradients.values()].map(tensor => tf.sum(tf.square(tensor)))).arraySync() as number
  })
}

describe('gl: norms of the gradients of rows', () => {
  onPlainBackend()

  for (const kind of AUXILIARY_KINDS) {
    for (const [site, places] of CASES.filter(([site]) => isPossible(kind, site))) {
      it(`are those of one backward pass a row, ${kind}, ${site.name}, ${places} places`, () => {
        const before = tf.memory().numTensors
        for (const [seed, rows] of [[1, 1], [2, 4]]) {
          const random = seeded(seed)
          const spec: AuxiliarySpec = { kind, rank: 3, alpha: 6 }
          const auxiliary = new Auxiliary(spec, site, { tensors: randomAuxiliary(spec, site, random) })
          tf.tidy(() => {
            const x = inputOf(site, rows, places, random)
            const shape = outputShape(site, rows, { input: places, target: places })
            const gradient = tf.tensor2d(uniform(shape, random).values, shape)
            const seen = { output: tf.tensor2d(uniform(shape, random).values, shape), norm: tf.tensor1d(uniform([site.outFeatures], random).values) }
            const expected = rowByRow(auxiliary, x, gradient, rows, seen)
            expect(relativeError(auxiliary.squaredNorms(x, gradient, rows, seen).dataSync(), expected)).to.be.below(1e-5)
          })
          auxiliary.dispose()
        }
        expect(tf.memory().numTensors).to.equal(before)
      })
    }
  }

  it('are those of one backward pass a row, beside earlier auxiliaries whose shares are learned', () => {
    const random = seeded(6)
    const [spec, rows, places]: [AuxiliarySpec, number, number] = [{ kind: 'low-rank', rank: 3, alpha: 6 }, 4, 3]
    const earlier = [1, 2].map(rank => ({ scale: 0.5 * rank, a: uniform([rank, 13], random), b: uniform([9, rank], random) }))
    const auxiliary = new ComposedAuxiliary(spec, PLAIN, { tensors: randomAuxiliary(spec, PLAIN, random) }, earlier, 'learned')
    tf.tidy(() => {
      const [x, gradient] = [inputOf(PLAIN, rows, places, random), tf.tensor2d(uniform([rows * places, 9], random).values, [rows * places, 9])]
      const expected = rowByRow(auxiliary, x, gradient, rows)
      expect(relativeError(auxiliary.squaredNorms(x, gradient, rows).dataSync(), expected)).to.be.below(1e-5)
    })
    auxiliary.dispose()
  })

  it('are the same of any auxiliary by a backward pass of one row after the other', () => {
    tf.tidy(() => {
      const random = seeded(4)
      const [x, weight] = [inputOf(PLAIN, 3, 4, random), tf.zeros<tf.Rank.R2>([9, 13])]
      const gradient = tf.tensor3d(uniform([3, 4, 9], random).values, [3, 4, 9])
      const apply = (_: Site, own: tf.Tensor2D, [w]: readonly tf.Tensor[]): tf.Tensor2D => tf.matMul(own, w, false, true)
      const actual = squaredNormsRowByRow({ apply })(PLAIN, x, gradient, [weight], { scale: 1 })
      expect(relativeError(actual.dataSync(), squaredNormsOfRows(PLAIN, gradient, x).dataSync())).to.be.below(1e-5)
    })
  })

  it('are right where the gradients of few rows are large already', () => {
    const site: Site = { name: 'wte', inFeatures: 1 << 20, outFeatures: 5, embedding: true }
    const [rows, places] = [3, 6]
    tf.tidy(() => {
      const x = tf.tensor2d(Int32Array.from({ length: rows * places }, (_, i) => Math.floor(i / places)), [rows * places, 1], 'int32')
      const y = tf.mul<tf.Tensor3D>(tf.ones([rows, places, 5]), tf.tensor3d([1, 2, 3], [3, 1, 1])) // of one token each, places times the same
      expect([...squaredNormsOfRows(site, y, x).dataSync()]).to.deep.equal([1, 4, 9].map(square => square * 5 * places ** 2))
    })
  })
})
