import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { rankAt, scaleAt } from '../../src/auxiliary-spec.js'
import { startBackend } from '../../src/engine/backend.js'
import { ComposedAuxiliary, composedSpec, type Composition, COMPOSITIONS, type FrozenFactors } from '../../src/gl/composed-auxiliary.js'
import { applyAuxiliary } from '../../src/gl/auxiliary.js'
import type { AuxiliarySpec, AuxiliaryTensors, FloatTensor } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, SITES, uniform } from './adaptation.js'

const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 3 }
const [SITE] = SITES
const TOKENS = 7

function earlier (): FrozenFactors[] {
  return [{ rank: 3, scale: 0.5 }, { rank: 1, scale: 2 }].map(({ rank, scale }, k) => {
    const own = randomAdapter({ kind: 'low-rank', rank, alpha: 1 }, [SITE], seeded(20 + k)).get(SITE.name)!
    return { scale, a: own.get('lora_A.weight')!, b: own.get('lora_B.weight')! }
  })
}

function start (weights?: readonly number[]): AuxiliaryTensors {
  const own = randomAdapter(SPEC, [SITE], seeded(5)).get(SITE.name)!
  return weights === undefined ? own : new Map([...own, ['weights', { shape: [weights.length], values: Float32Array.from(weights) }]])
}

function made (composition: Composition): ComposedAuxiliary {
  return new ComposedAuxiliary(SPEC, SITE, { tensors: start(composition === 'learned' ? [0.7, -1.3] : undefined) }, earlier(), composition)
}

const matrix = ({ shape, values }: FloatTensor): tf.Tensor2D => tf.tensor2d(values.slice(), shape as [number, number])

/** α·B·A·x + Σ c_k·α_k·B_k·A_k·x, written out, as a function of what is learned. */
function whole (x: tf.Tensor2D, [a, b, weights]: readonly tf.Tensor[]): tf.Tensor2D {
  const product = (up: tf.Tensor, down: tf.Tensor, factor: number | tf.Tensor): tf.Tensor2D =>
    tf.mul(tf.matMul(x, tf.transpose(tf.matMul(up as tf.Tensor2D, down as tf.Tensor2D))), factor) // [tokens, out]
  const frozen = earlier().map(({ a: down, b: up, scale }, k) =>
    product(matrix(up), matrix(down), (weights as tf.Tensor | undefined) === undefined ? scale : tf.mul(tf.slice(weights, k, 1), scale)))
  return frozen.reduce<tf.Tensor2D>((sum, part) => tf.add(sum, part), product(b, a, SPEC.alpha / SPEC.rank))
}

const X = uniform([TOKENS, SITE.inFeatures], seeded(1))
const GRADIENT = uniform([TOKENS, SITE.outFeatures], seeded(2))

describe('an auxiliary beside earlier ones', () => {
  before(async () => { await startBackend() })

  for (const composition of COMPOSITIONS) {
    it(`is one low-rank auxiliary to the base model (${composition})`, async () => {
      const tensors = tf.memory().numTensors
      const auxiliary = made(composition)
      const contributed = await auxiliary.contributed()
      const spec = composedSpec(SPEC, new Map([[SITE.name, earlier()]]))
      expect([rankAt(spec, SITE.name), scaleAt(spec, SITE.name)]).to.deep.equal([6, 1.5])
      const [as, expected] = tf.tidy(() => [
        applyAuxiliary(spec, SITE, matrix(X), [...contributed.values()].map(matrix)),
        whole(matrix(X), [...auxiliary.parameters.values()])
      ].map(tensor => tensor.dataSync()))
      expect(relativeError(as, expected)).to.be.below(1e-6)
      auxiliary.dispose()
      expect(tf.memory().numTensors).to.equal(tensors)
    })

    it(`has the gradients that differentiating the whole would give, from pairs and from the whole's factors (${composition})`, async () => {
      const tensors = tf.memory().numTensors
      const auxiliary = made(composition)
      const expected = tf.tidy(() => tf.grads((...w) => tf.sum(tf.mul(whole(matrix(X), w), matrix(GRADIENT))))([...auxiliary.parameters.values()]).map(tensor => tensor.dataSync<'float32'>()))
      const contributed = await auxiliary.contributed()
      const [toA, toB] = tf.tidy(() => {
        const [a, b] = [contributed.get('lora_A.weight')!, contributed.get('lora_B.weight')!].map(matrix)
        const g = tf.matMul(matrix(GRADIENT), matrix(X), true) // [out, in]
        return [tf.matMul(b, g, true), tf.matMul(g, a, false, true)].map(tensor => tensor.dataSync<'float32'>())
      })
      const factors = new Map([
        ['lora_A.weight', { shape: contributed.get('lora_A.weight')!.shape, values: toA }],
        ['lora_B.weight', { shape: contributed.get('lora_B.weight')!.shape, values: toB }]
      ])
      const [x, gradient] = [matrix(X), matrix(GRADIENT)]
      for (const found of [auxiliary.gradients(x, gradient), auxiliary.scaled(factors)]) {
        expect([...found.keys()]).to.deep.equal([...auxiliary.parameters.keys()])
        for (const [i, tensor] of [...found.values()].entries()) expect(relativeError(tensor.dataSync(), expected[i])).to.be.below(1e-5)
        tf.dispose([...found.values()])
      }
      tf.dispose([x, gradient])
      auxiliary.dispose()
      expect(tf.memory().numTensors).to.equal(tensors)
    })
  }

  it('goes on from what it was to the bit, with the learned numbers', async () => {
    const auxiliary = made('learned')
    const before = await auxiliary.toTensors()
    const other = new ComposedAuxiliary(SPEC, SITE, { seed: 9 }, earlier(), 'learned')
    expect([...(await other.toTensors()).get('weights')!.values]).to.deep.equal([1, 1])
    other.assign(before)
    expect(await other.toTensors()).to.deep.equal(before)
    expect(() => other.assign(start([1, 2, 3]))).to.throw().with.property('name', 'InvalidAdapterError')
    auxiliary.dispose()
    other.dispose()
  })
})
