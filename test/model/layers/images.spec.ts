import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { halfOf, halvePixels, meanOfPixels, pixelsOf } from '../../../src/model/layers/images.js'
import { uniform } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { relativeError } from '../../support/compare.js'

const ROWS = 2
const CHANNELS = 3

/** Value and gradient as loops, the first of several that are the largest taken; `[rows, height, width, channels]`. */
function pooled (x: Float32Array, dy: Float32Array, height: number, width: number): { value: number[], gradient: Float32Array } {
  const value: number[] = []
  const gradient = new Float32Array(x.length)
  for (let row = 0; row < ROWS; row++) {
    for (let y = 0; y + 1 < height; y += 2) {
      for (let left = 0; left + 1 < width; left += 2) {
        for (let channel = 0; channel < CHANNELS; channel++) {
          const places = [[0, 0], [0, 1], [1, 0], [1, 1]].map(([down, across]) => ((row * height + y + down) * width + left + across) * CHANNELS + channel)
          const largest = Math.max(...places.map(place => x[place]))
          gradient[places.find(place => x[place] === largest)!] = dy[value.length]
          value.push(largest)
        }
      }
    }
  }
  return { value, gradient }
}

function tensor (values: Float32Array): tf.Tensor2D {
  return tf.tensor2d(values, [values.length / CHANNELS, CHANNELS])
}

describe('images in a pass', () => {
  before(async () => { await startBackend() })

  for (const [height, width] of [[2, 2], [4, 6], [5, 3], [3, 8]]) {
    for (const flat of [false, true]) {
      it(`are halved, the first of the largest has the gradient, ${height} by ${width}${flat ? ' with many alike' : ''}`, () => {
        const before = tf.memory().numTensors
        const random = seeded(height)
        const half = halfOf({ height, width })
        const own = uniform([ROWS, height, width, CHANNELS], random).values.map(value => flat ? Math.round(value) : value)
        const dy = uniform([ROWS, half.height, half.width, CHANNELS], random).values
        const expected = pooled(own, dy, height, width)
        tf.tidy(() => {
          const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => halvePixels(x as tf.Tensor2D, { height, width }))(tensor(own), tensor(dy))
          expect(relativeError(value.dataSync(), expected.value)).to.equal(0)
          expect(relativeError(grad.dataSync(), expected.gradient)).to.equal(0)
        })
        expect(tf.memory().numTensors).to.equal(before)
      })
    }
  }

  it('are the mean of all their pixels', () => {
    tf.tidy(() => {
      const x = uniform([ROWS * 6, CHANNELS], seeded(1)).values
      const expected = Array.from({ length: ROWS * CHANNELS }, (_, at) => {
        const [row, channel] = [Math.floor(at / CHANNELS), at % CHANNELS]
        return Array.from({ length: 6 }, (_, pixel) => x[(row * 6 + pixel) * CHANNELS + channel]).reduce((sum, value) => sum + value) / 6
      })
      const mean = meanOfPixels(tensor(x), { height: 2, width: 3 })
      expect(mean.shape).to.deep.equal([ROWS, CHANNELS])
      expect(relativeError(mean.dataSync(), expected)).to.be.below(1e-6)
    })
  })

  it('are rows of channels, a pixel each', () => {
    tf.tidy(() => {
      const images = tf.tensor4d([1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 50, 60], [1, 2, 2, 3])
      expect(pixelsOf(images).arraySync()).to.deep.equal([[1, 10], [2, 20], [3, 30], [4, 40], [5, 50], [6, 60]])
    })
  })
})
