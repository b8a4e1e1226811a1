import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import { factorGradients, sumOfRows } from '../../src/gl/factor-gradients.js'
import { GradientLearner } from '../../src/gl/gradient-learner.js'
import { Optimizer } from '../../src/gl/optimizer.js'
import { joinBlocks, type RowBlock } from '../../src/gl/row-blocks.js'
import { createSchedule } from '../../src/gl/schedule.js'
import type { AuxiliarySpec, AuxiliaryTensors, FloatTensor, Site, SitePair } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, uniform } from './adaptation.js'
import { differentiatedFactors } from './differentiated-factors.js'
import { LAYERS } from './layers.js'

const EMBEDDING: Site = { name: 'wte', inFeatures: 11, outFeatures: 6, embedding: true }
const LINEAR: Site = { name: 'wte', inFeatures: 11, outFeatures: 6 }
const ROWS = 4
const PLACES = 5
/** Some tokens come several times in a row and in several rows, one never. */
const TOKENS = Int32Array.of(3, 0, 3, 10, 7, 7, 7, 7, 7, 7, 0, 1, 2, 4, 5, 10, 6, 3, 8, 8)
const SPECS: readonly AuxiliarySpec[] = [{ kind: 'low-rank', rank: 2, alpha: 3 }, { kind: 'linear', rank: 2, alpha: 3 }, { kind: 'mlp', rank: 2, alpha: 3 }]

function matrix ({ values, shape }: FloatTensor): tf.Tensor2D {
  return tf.tensor(values, shape as [number, number])
}

/** `[places, 1]` */
function tokens (): tf.Tensor2D {
  return tf.tensor2d(TOKENS, [TOKENS.length, 1], 'int32')
}

/** What they stand for: rows that are 1 at the token, `[places, in]`. */
function oneHot (): tf.Tensor2D {
  return tf.cast(tf.oneHot(tf.tensor1d(TOKENS, 'int32'), EMBEDDING.inFeatures) as tf.Tensor2D, 'float32')
}

function expectEqual (actual: tf.Tensor, expected: tf.Tensor, what: string): void {
  expect(actual.shape).to.deep.equal(expected.shape)
  expect(relativeError(actual.dataSync(), expected.dataSync()), what).to.be.below(1e-6)
}

function loss (output: tf.Tensor): tf.Scalar {
  return tf.mean(tf.add(tf.square(tf.tanh(output)), tf.exp(tf.mul(output, -0.5))))
}

/** α·g(x) as PEFT has it: the adapter's own rows of tokens. */
function addedBy ({ kind, rank, alpha }: AuxiliarySpec, [first, ...others]: readonly tf.Tensor[]): tf.Tensor2D {
  const inner: tf.Tensor2D = tf.matMul(oneHot(), first, false, true)
  return tf.mul(LAYERS[kind](inner, others), alpha / rank)
}

function pairOf (x: Int32Array, places: number): SitePair {
  return { x: { shape: [x.length, 1], values: x }, gradient: uniform([places, EMBEDDING.outFeatures], seeded(5)) }
}

describe('gl: auxiliaries of embeddings', () => {
  before(async () => { await startBackend() })

  for (const spec of SPECS) {
    const somewhere = randomAdapter(spec, [EMBEDDING], seeded(1)).get('wte')!

    it(`have the gradient that back-propagation gives, ${spec.kind}`, () => {
      const before = tf.memory().numTensors
      const auxiliary = new Auxiliary(spec, EMBEDDING, { tensors: somewhere })
      tf.tidy(() => {
        const frozen = matrix(uniform([TOKENS.length, EMBEDDING.outFeatures], seeded(2)))
        const weights = [...somewhere.values()].map(matrix)
        const expected = tf.grads((...w) => loss(tf.add(frozen, addedBy(spec, w))))(weights)
        const gradient = tf.grad(loss)(tf.add(frozen, addedBy(spec, weights))) as tf.Tensor2D
        for (const [i, [name, own]] of [...auxiliary.gradients(tokens(), gradient)].entries()) expectEqual(own, expected[i], name)
      })
      auxiliary.dispose()
      expect(tf.memory().numTensors).to.equal(before)
    })

    it(`add to the rows of their owner what they would to rows of zeros and a 1, ${spec.kind}`, () => {
      const before = tf.memory().numTensors
      const blocks: RowBlock[] = [{ rows: 1, own: [] }, { rows: 2, own: [{ spec, adapter: new Map([['wte', somewhere]]) }] }, { rows: 1, own: [] }]
      const { inputs, apply } = joinBlocks(blocks, ['wte'])
      tf.tidy(() => {
        const input = (name: string): tf.Tensor2D => matrix(inputs.get(name)!)
        expectEqual(apply(EMBEDDING, tokens(), input)!, apply(LINEAR, oneHot(), input)!, spec.kind)
      })
      expect(tf.memory().numTensors).to.equal(before)
    })

    it(`begin where they give 0, low-rank ones as PEFT's do: A is 0, ${spec.kind}`, async () => {
      const wide: Site = { ...EMBEDDING, outFeatures: 2000 }
      const auxiliary = new Auxiliary(spec, wide, { seed: 3 })
      const own = await auxiliary.toTensors()
      auxiliary.dispose()
      for (const name of ['lora_A.weight', 'weight', 'layers.2.weight', 'layers.2.bias']) expect([...own.get(name)?.values ?? []].every(value => value === 0)).to.equal(true)
      if (spec.kind !== 'low-rank') return
      const { values } = own.get('lora_B.weight')!
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
      expect(mean).to.be.closeTo(0, 0.1)
      expect(variance).to.be.closeTo(1, 0.1)
    })
  }

  it('have the same gradient where the host makes it of each row', () => {
    const before = tf.memory().numTensors
    const specs: readonly AuxiliarySpec[] = [{ kind: 'low-rank', rank: 2, alpha: 3 }, { kind: 'low-rank', rank: 9, alpha: 1 }]
    const owned = specs.map((spec, i) => ({ rows: i + 1, fitted: { spec, adapter: randomAdapter(spec, [EMBEDDING], seeded(i)) } }))
    const { inputs, apply } = factorGradients([owned[0], { rows: 1, fitted: null }, owned[1]], [EMBEDDING])
    const gradient = uniform([TOKENS.length, EMBEDDING.outFeatures], seeded(7))
    tf.tidy(() => {
      const made = apply(EMBEDDING, tokens(), matrix(gradient), name => {
        const { values, shape } = inputs.get(name)!
        return tf.tensor3d(values, shape as [number, number, number])
      })
      for (const [i, first] of [0, 2].entries()) {
        const { rows, fitted: { spec, adapter } } = owned[i]
        const [a, b] = [made.A, made.B].map(tensor => ({ shape: [rows, ...tensor.shape.slice(1)], values: tf.slice(tensor, first, rows).dataSync<'float32'>() }))
        const [from, to] = [first * PLACES, (first + rows) * PLACES]
        const pair: SitePair = {
          x: { shape: [to - from, 1], values: TOKENS.subarray(from, to) },
          gradient: { shape: [to - from, EMBEDDING.outFeatures], values: gradient.values.subarray(from * EMBEDDING.outFeatures, to * EMBEDDING.outFeatures) }
        }
        const expected = differentiatedFactors(spec, EMBEDDING, adapter.get('wte')!, pair).factors
        for (const [name, { values }] of sumOfRows(spec, 'wte', a, b).factors) expect(relativeError(values, expected.get(name)!.values), name).to.be.below(1e-6)
      }
    })
    expect(ROWS * PLACES).to.equal(TOKENS.length)
    expect(tf.memory().numTensors).to.equal(before)
  })

  describe('take no pairs', () => {
    const [spec] = SPECS
    const tensors: AuxiliaryTensors = randomAdapter(spec, [EMBEDDING], seeded(1)).get('wte')!
    let learner: GradientLearner

    beforeEach(() => {
      learner = new GradientLearner({
        auxiliaries: [new Auxiliary(spec, EMBEDDING, { tensors })],
        optimizer: new Optimizer('sgd', 0),
        schedule: createSchedule({ kind: 'constant', rate: 1, fits: 1 }),
        interval: 1
      })
    })

    afterEach(() => { learner.dispose() })

    for (const [what, pair] of Object.entries({
      'with tokens that there are not': pairOf(Int32Array.of(0, 11), 2),
      'with tokens below 0': pairOf(Int32Array.of(-1, 3), 2),
      'with floats': { ...pairOf(Int32Array.of(0, 1), 2), x: uniform([2, 1], seeded(1)) },
      'with other places than their gradient has': pairOf(Int32Array.of(0, 1, 2), 2),
      'without a token': pairOf(new Int32Array(0), 0)
    })) {
      it(what, () => {
        expect(() => { learner.gather('wte', pair) }).to.throw().with.property('name', 'InvalidTensorError')
        learner.gather('wte', pairOf(Int32Array.of(0, 10), 2))
      })
    }
  })
})
