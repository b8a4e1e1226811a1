import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { squaredNorm } from '../../src/gl/squared-norm.js'
import { seeded } from '../merge/random.js'
import { uniform } from './adaptation.js'

describe('gl: the sum of squares', () => {
  before(async () => { await startBackend() })

  for (const shape of [[], [1], [7], [3, 5], [2, 3, 4], [768, 2304]]) {
    it(`of [${shape.join(', ')}] is right to float32`, async () => {
      const before = tf.memory().numTensors
      const { values } = uniform(shape, seeded(3))
      const norm = tf.tidy(() => squaredNorm(tf.tensor(values, shape)))
      expect(norm.shape).to.deep.equal([])
      const expected = values.reduce((sum, value) => sum + value ** 2, 0)
      expect((await norm.data())[0]).to.be.closeTo(expected, 2e-6 * expected)
      norm.dispose()
      expect(tf.memory().numTensors).to.equal(before)
    })
  }
})
