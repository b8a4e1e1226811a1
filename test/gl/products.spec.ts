import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import { ComposedAuxiliary, COMPOSITIONS } from '../../src/gl/composed-auxiliary.js'
import type { FittedAuxiliary } from '../../src/gl/fitted-auxiliary.js'
import { hasProduct, productName, productsOfOwners, type SummedRows } from '../../src/gl/products.js'
import { inputShape, outputShape } from '../../src/places.js'
import { AUXILIARY_KINDS, type AuxiliaryKind, type AuxiliarySpec, type FloatTensor, type Site } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { onPlainBackend } from '../support/plain-backend.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'

const CONVOLUTION: Site = {
  name: 'conv', inFeatures: 18, outFeatures: 4, convolution: { channels: 2, height: 5, width: 4, kernel: [3, 3], stride: [2, 1], padding: [1, 1] }
}
const EMBEDDING: Site = { name: 'wte', inFeatures: 7, outFeatures: 3, embedding: true }
const ALL: readonly Site[] = [...SITES, CONVOLUTION, EMBEDDING]
const LENGTHS = { input: 3, target: 3 }

/** Whose rows they are. */
const BLOCKS: readonly SummedRows[][] = [
  [{ rows: 2, owner: 0 }],
  [{ rows: 1, owner: 2 }, { rows: 2, owner: null }, { rows: 3, owner: 0 }],
  [{ rows: 1, owner: null }, { rows: 2, owner: 1 }, { rows: 0, owner: 5 }]
]

interface Pair {
  readonly x: tf.Tensor2D
  readonly gradient: tf.Tensor2D
}

function pairOf (site: Site, rows: number, random: () => number): Pair {
  const shape = inputShape(site, rows, LENGTHS)
  const tokens = Int32Array.from({ length: shape[0] }, () => Math.floor(random() * site.inFeatures))
  return {
    x: site.embedding === true ? tf.tensor2d(tokens, shape, 'int32') : tf.tensor2d(uniform(shape, random).values, shape),
    gradient: tf.tensor2d(uniform(outputShape(site, rows, LENGTHS), random).values, outputShape(site, rows, LENGTHS))
  }
}

function applied (blocks: readonly SummedRows[], site: Site, { x, gradient }: Pair): Record<string, tf.Tensor2D> {
  const { inputs, apply } = productsOfOwners(blocks)
  return tf.tidy(() => apply(site, x, gradient, name => {
    const { shape, values } = inputs.get(name)!
    return tf.tensor3d(values, shape as [number, number, number])
  }))
}

/** By a linear auxiliary's own gradient, which is that of a matrix. */
function differentiated (site: Site, { x, gradient }: Pair): Float32Array {
  const auxiliary = new Auxiliary({ kind: 'linear', rank: 1, alpha: 1 }, site, { seed: 1 })
  const gradients = auxiliary.gradients(x, gradient)
  const values = gradients.get('weight')!.dataSync<'float32'>().slice()
  tf.dispose([...gradients.values()])
  auxiliary.dispose()
  return values
}

function rowsOf (tensor: tf.Tensor2D, all: number, first: number, rows: number): tf.Tensor2D {
  const places = tensor.shape[0] / all
  return tf.slice(tensor, [first * places, 0], [rows * places, -1])
}

describe('gl: sums of ∇ĥ·xᵀ', () => {
  onPlainBackend()

  for (const site of ALL) {
    for (const blocks of BLOCKS) {
      it(`are those of each owner's rows by themselves: ${site.name}, ${JSON.stringify(blocks.map(({ rows, owner }) => [rows, owner]))}`, () => {
        const before = tf.memory().numTensors
        const rows = blocks.reduce((sum, block) => sum + block.rows, 0)
        const pair = pairOf(site, rows, seeded(rows))
        const sums = applied(blocks, site, pair)
        expect(Object.keys(sums)).to.have.lengthOf(blocks.filter(({ owner }) => owner !== null).length)
        let row = 0
        for (const { rows: count, owner } of blocks) {
          if (owner !== null) {
            const sum = sums[productName(owner)]
            expect(sum.shape).to.deep.equal([site.outFeatures, site.inFeatures])
            if (count === 0) {
              expect(sum.dataSync().every(value => value === 0)).to.equal(true)
            } else {
              const own = { x: rowsOf(pair.x, rows, row, count), gradient: rowsOf(pair.gradient, rows, row, count) }
              expect(relativeError(sum.dataSync(), differentiated(site, own))).to.be.below(1e-6)
              tf.dispose([own.x, own.gradient])
            }
          }
          row += count
        }
        tf.dispose([sums, pair.x, pair.gradient])
        expect(tf.memory().numTensors).to.equal(before)
      })
    }

    for (const [what, make] of auxiliariesAt(site)) {
      it(`do to an auxiliary what their pairs do: ${site.name}, ${what}`, () => {
        const before = tf.memory().numTensors
        const auxiliary = make()
        for (const rows of [1, 4]) {
          const pair = pairOf(site, rows, seeded(rows))
          const { [productName(0)]: sum } = applied([{ rows, owner: 0 }], site, pair)
          const [ofProduct, ofPairs] = [auxiliary.ofProduct(sum), auxiliary.gradients(pair.x, pair.gradient)]
          expect([...ofProduct.keys()]).to.deep.equal([...ofPairs.keys()])
          for (const [name, gradient] of ofPairs) {
            expect(ofProduct.get(name)!.shape, name).to.deep.equal(gradient.shape)
            expect(relativeError(ofProduct.get(name)!.dataSync(), gradient.dataSync()), name).to.be.below(1e-6)
          }
          tf.dispose([sum, pair.x, pair.gradient, ...ofProduct.values(), ...ofPairs.values()])
        }
        auxiliary.dispose()
        expect(tf.memory().numTensors).to.equal(before)
      })
    }
  }

  it('are enough for what is linear in x, and refused by what is not', () => {
    const [site] = SITES
    for (const kind of AUXILIARY_KINDS) {
      const linear = kind === 'low-rank' || kind === 'linear'
      const spec = { kind, rank: 2, alpha: 1 }
      expect(hasProduct(spec)).to.equal(linear)
      if (linear) continue
      const auxiliary = new Auxiliary(spec, site, { tensors: randomAdapter(spec, [site], seeded(1)).get(site.name)! })
      expect(() => auxiliary.ofProduct(tf.zeros([site.outFeatures, site.inFeatures]))).to.throw().with.property('name', 'InvalidTensorError')
      auxiliary.dispose()
    }
  })
})

function auxiliariesAt (site: Site): Array<readonly [string, () => FittedAuxiliary]> {
  const spec = (kind: AuxiliaryKind, rank: number): AuxiliarySpec => ({ kind, rank, alpha: 3 })
  const tensors = (own: AuxiliarySpec, seed: number): ReadonlyMap<string, FloatTensor> => randomAdapter(own, [site], seeded(seed)).get(site.name)!
  const frozen = [2, 1].map((rank, k) => {
    const own = tensors(spec('low-rank', rank), k)
    return { scale: 0.7 + k, a: own.get('lora_A.weight')!, b: own.get('lora_B.weight')! }
  })
  return [
    ...[['linear', 1], ['low-rank', 1], ['low-rank', 3]].map(([kind, rank]) => {
      const own = spec(kind as AuxiliaryKind, rank as number)
      return [`${kind} ${rank}`, () => new Auxiliary(own, site, { tensors: tensors(own, 7) })] as const
    }),
    ...COMPOSITIONS.map(composition => [`composed, ${composition}`, () => new ComposedAuxiliary(spec('low-rank', 2), site, { tensors: tensors(spec('low-rank', 2), 5) }, frozen, composition)] as const)
  ]
}
