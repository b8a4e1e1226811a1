import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { onPlainBackend } from '../support/plain-backend.js'
import { Auxiliary } from '../../src/gl/auxiliary.js'
import { factorGradients, sumOfRows } from '../../src/gl/factor-gradients.js'
import { joinBlocks } from '../../src/gl/row-blocks.js'
import { inputShape, outputShape } from '../../src/places.js'
import type { AuxiliarySpec, AuxiliaryTensors, FloatTensor, Site } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { shapeAt } from '../merge/reference.js'
import { relativeError } from '../support/compare.js'
import { randomAdapter, uniform } from './adaptation.js'
import { convolve, CONVOLUTIONS } from './convolve.js'
import { LAYERS } from './layers.js'

const ROWS = 3
const IMAGE = { input: 1, target: 1 }
const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 3 }
const SPECS: readonly AuxiliarySpec[] = [
  LOW_RANK, { ...LOW_RANK, ranks: { [CONVOLUTIONS[0].name]: 3 }, alphas: { [CONVOLUTIONS[1].name]: 5 }, rankStabilised: true },
  { kind: 'linear', rank: 2, alpha: 3 }, { kind: 'mlp', rank: 2, alpha: 3 }
]

/** α·g(x) as PEFT has it: a convolution, after which come others of single pixels. */
function addedBy (spec: AuxiliarySpec, { name, convolution }: Site, x: tf.Tensor2D, [first, ...others]: readonly tf.Tensor[]): tf.Tensor2D {
  const inner = convolve(convolution!, x, first as tf.Tensor2D) // [patches, r], or [patches, out]
  return tf.mul(LAYERS[spec.kind](inner, others), shapeAt(spec, name).scale)
}

function loss (output: tf.Tensor): tf.Scalar {
  return tf.mean(tf.add(tf.square(tf.tanh(output)), tf.exp(tf.mul(output, -0.5))))
}

function matrix ({ values, shape }: FloatTensor): tf.Tensor2D {
  return tf.tensor(values, shape as [number, number])
}

function pixels (site: Site, rows: number, seed: number): tf.Tensor2D {
  return matrix(uniform(inputShape(site, rows, IMAGE), seeded(seed)))
}

function expectEqual (actual: tf.Tensor, expected: tf.Tensor, what: string): void {
  expect(actual.shape).to.deep.equal(expected.shape)
  expect(relativeError(actual.dataSync(), expected.dataSync()), what).to.be.below(1e-5)
}

describe('gl: auxiliaries of convolutions', () => {
  onPlainBackend()

  for (const site of CONVOLUTIONS) {
    for (const spec of SPECS) {
      const what = `${JSON.stringify(spec)}, ${site.name}`
      const somewhere = randomAdapter(spec, [site], seeded(1)).get(site.name)!

      /** ∇ĥ, and what back-propagation through f(x) + α·g(x) gives the parameters. */
      const backPropagated = (x: tf.Tensor2D, tensors: AuxiliaryTensors): { gradient: tf.Tensor2D, parameters: tf.Tensor[] } => {
        const frozen = convolve(site.convolution!, x, matrix(uniform([site.outFeatures, site.inFeatures], seeded(2))))
        const weights = [...tensors.values()].map(matrix)
        const parameters = tf.grads((...w) => loss(tf.add(frozen, addedBy(spec, site, x, w))))(weights)
        return { gradient: tf.grad(loss)(tf.add(frozen, addedBy(spec, site, x, weights))) as tf.Tensor2D, parameters }
      }

      it(`have the gradient that back-propagation gives, ${what}`, () => {
        const before = tf.memory().numTensors
        const auxiliary = new Auxiliary(spec, site, { tensors: somewhere })
        tf.tidy(() => {
          const x = pixels(site, ROWS, 3)
          const { gradient, parameters } = backPropagated(x, somewhere)
          expect(gradient.shape).to.deep.equal(outputShape(site, ROWS, IMAGE))
          for (const [i, [name, own]] of [...auxiliary.gradients(x, gradient)].entries()) expectEqual(own, parameters[i], name)
        })
        auxiliary.dispose()
        expect(tf.memory().numTensors).to.equal(before)
      })

      it(`add a convolution to the rows of their owner, ${what}`, () => {
        const before = tf.memory().numTensors
        const own = { spec, adapter: new Map([[site.name, somewhere]]) }
        const { inputs, apply } = joinBlocks([{ rows: 1, own: [] }, { rows: 2, own: [own] }, { rows: 1, own: [] }], [site.name])
        tf.tidy(() => {
          const x = pixels(site, 4, 4)
          const every = addedBy(spec, site, x, [...somewhere.values()].map(matrix)) // [patches, out]
          const owned = tf.reshape(tf.tensor1d([0, 1, 1, 0]), [4, 1, 1])
          const expected = tf.reshape(tf.mul(tf.reshape(every, [4, -1, site.outFeatures]), owned), every.shape)
          expectEqual(apply(site, x, name => matrix(inputs.get(name)!))!, expected, what)
        })
        expect(tf.memory().numTensors).to.equal(before)
      })

      if (spec.kind === 'low-rank') {
        it(`have the same gradient where the host makes it of each row, ${what}`, () => {
          const before = tf.memory().numTensors
          const adapter = new Map([[site.name, somewhere]])
          const { inputs, apply } = factorGradients([{ rows: 1, fitted: null }, { rows: ROWS, fitted: { spec, adapter } }], [site])
          tf.tidy(() => {
            const x = pixels(site, ROWS, 5)
            const { gradient, parameters } = backPropagated(x, somewhere)
            const below = (own: tf.Tensor2D): tf.Tensor2D => tf.concat([tf.ones([own.shape[0] / ROWS, own.shape[1]]), own]) // a row of nobody before it
            const made = apply(site, below(x), below(gradient), name => {
              const { values, shape } = inputs.get(name)!
              return tf.tensor3d(values, shape as [number, number, number])
            })
            const [a, b] = [made.A, made.B].map(tensor => {
              const [, ...rest] = tensor.shape
              return { shape: [ROWS, ...rest], values: tf.slice(tensor, 1).dataSync<'float32'>() }
            })
            for (const [i, factor] of [...sumOfRows(spec, site.name, a, b).factors.values()].entries()) expectEqual(tf.mul(matrix(factor), shapeAt(spec, site.name).scale), parameters[i], what)
          })
          expect(tf.memory().numTensors).to.equal(before)
        })
      }
    }
  }
})
