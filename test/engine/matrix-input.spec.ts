import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { onPlainBackend } from '../support/plain-backend.js'
import { matrixInput } from '../../src/engine/matrix-input.js'
import { outputSize } from '../../src/places.js'
import type { Convolution, Site } from '../../src/types.js'
import { uniform } from '../gl/adaptation.js'
import { convolve } from '../gl/convolve.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'

const ROWS = 2
const OUT = 5

const CONVOLUTIONS: Readonly<Record<string, Convolution>> = {
  'patches that overlap, of an image that keeps its size': { channels: 3, height: 5, width: 4, kernel: [3, 3], stride: [1, 1], padding: [1, 1] },
  'patches that touch': { channels: 2, height: 6, width: 9, kernel: [2, 3], stride: [2, 3], padding: [0, 0] },
  'patches that touch, and leave something over': { channels: 2, height: 7, width: 11, kernel: [2, 3], stride: [2, 3], padding: [0, 0] },
  'patches that touch, from beyond the edge': { channels: 1, height: 4, width: 4, kernel: [2, 2], stride: [2, 2], padding: [1, 1] },
  'patches that leave something between them': { channels: 3, height: 8, width: 7, kernel: [2, 1], stride: [3, 2], padding: [0, 0] },
  'patches that overlap, in steps': { channels: 2, height: 7, width: 6, kernel: [3, 5], stride: [2, 1], padding: [1, 2] },
  'one pixel each': { channels: 4, height: 3, width: 2, kernel: [1, 1], stride: [1, 1], padding: [0, 0] },
  'one patch': { channels: 2, height: 3, width: 4, kernel: [3, 4], stride: [3, 4], padding: [0, 0] }
}

describe('what the matrix of a module multiplies', () => {
  onPlainBackend()

  for (const [what, convolution] of Object.entries(CONVOLUTIONS)) {
    it(`makes a product a convolution: ${what}`, () => {
      const { channels, height, width, kernel } = convolution
      const inFeatures = channels * kernel[0] * kernel[1]
      const site: Site = { name: 'conv', inFeatures, outFeatures: OUT, convolution }
      const before = tf.memory().numTensors
      const random = seeded(3)
      const matrix = (rows: number, columns: number): tf.Tensor2D => tf.tensor2d(uniform([rows, columns], random).values, [rows, columns])
      tf.tidy(() => {
        const x = matrix(ROWS * height * width, channels) // [pixels, channels]
        const w = matrix(OUT, inFeatures) // [out, in]
        const [down, across] = outputSize(convolution)
        const dy = matrix(ROWS * down * across, OUT) // [patches, out]
        const at = (f: (x: tf.Tensor2D, w: tf.Tensor2D) => tf.Tensor2D): { value: tf.Tensor, grads: tf.Tensor[] } =>
          tf.valueAndGrads((x, w) => f(x as tf.Tensor2D, w as tf.Tensor2D))([x, w], dy)
        const ours = at((x, w) => tf.matMul(matrixInput(site, x), w, false, true))
        const theirs = at((x, w) => convolve(convolution, x, w))
        expect(ours.value.shape).to.deep.equal([ROWS * down * across, OUT])
        expect(relativeError(ours.value.dataSync(), theirs.value.dataSync())).to.be.below(1e-6)
        for (const [i, grad] of ours.grads.entries()) expect(relativeError(grad.dataSync(), theirs.grads[i].dataSync())).to.be.below(1e-6)
      })
      expect(tf.memory().numTensors).to.equal(before)
    })
  }

  it('is x itself where there is no convolution', () => {
    const x = tf.ones<tf.Rank.R2>([2, 3])
    expect(matrixInput({ name: 'linear', inFeatures: 3, outFeatures: 1 }, x)).to.equal(x)
    x.dispose()
  })
})
