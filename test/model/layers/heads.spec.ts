import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { intoHeads, outOfHeads } from '../../../src/model/layers/heads.js'

describe('heads', () => {
  before(async () => { await startBackend() })

  it('are columns of each token, and go back to where they were', () => {
    const before = tf.memory().numTensors
    const x = tf.tensor2d(Array.from({ length: 24 }, (_, i) => i), [4, 6]) // 2 rows of 2 tokens
    const heads = tf.tidy(() => intoHeads(x, 2, 3))
    expect(heads.arraySync()).to.deep.equal([
      [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]],
      [[[12, 13], [18, 19]], [[14, 15], [20, 21]], [[16, 17], [22, 23]]]
    ])
    const back = tf.tidy(() => outOfHeads(heads))
    expect(back.arraySync()).to.deep.equal(x.arraySync())
    tf.dispose([x, heads, back])
    expect(tf.memory().numTensors).to.equal(before)
  })
})
