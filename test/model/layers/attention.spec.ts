import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { attention, bidirectionalBias, causalBias, type Visibility } from '../../../src/model/layers/attention.js'
import { relativeError } from '../../support/compare.js'

/** Who looks at whom: softmax of the bias alone is above 0 there. */
function seen (mask: number[][], fill: number[][], biasOf: (visibility: Visibility) => tf.Tensor4D = causalBias): number[][][] {
  return tf.tidy(() => {
    const bias = biasOf({ attentionMask: tf.tensor2d(mask), fillBias: tf.tensor2d(fill) })
    return (tf.softmax(bias).arraySync()).map(([rows]) => rows.map(row => row.map(value => value > 0 ? 1 : 0)))
  })
}

describe('attention', () => {
  before(async () => { await startBackend() })

  it('looks at what is before, but at no padding and at nothing that fills a row up', () => {
    expect(seen([[1, 1, 1]], [[0, 0, 0]])).to.deep.equal([[[1, 0, 0], [1, 1, 0], [1, 1, 1]]])
    expect(seen([[1, 0, 1]], [[0, 0, 0]])).to.deep.equal([[[1, 0, 0], [1, 0, 0], [1, 0, 1]]])
    expect(seen([[0, 1, 0]], [[0, 0, -Infinity]])).to.deep.equal([[[1, 1, 0], [0, 1, 0], [0, 1, 0]]]) // the first sees nothing: all alike, as in transformers
  })

  it('looks at all of a text where it looks both ways, but at no padding and at nothing that fills a row up', () => {
    const before = tf.memory().numTensors
    const [mask, fill] = [[[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, -Infinity], [0, 0, -Infinity, -Infinity]]]
    expect(seen(mask, fill, bidirectionalBias)).to.deep.equal([[[1, 1, 1, 1]], [[0, 1, 1, 0]], [[1, 1, 0, 0]]]) // the last sees nothing: all alike, as in transformers
    expect(tf.memory().numTensors).to.equal(before)
  })

  it('looks no further back than a window', () => {
    const within = (window: number) => (visibility: Visibility): tf.Tensor4D => causalBias(visibility, window)
    expect(seen([[1, 1, 1, 1]], [[0, 0, 0, 0]], within(2))).to.deep.equal([[[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]])
    expect(seen([[1, 1, 1]], [[0, 0, 0]], within(3))).to.deep.equal(seen([[1, 1, 1]], [[0, 0, 0]]))
  })

  it('shares heads of keys and values among neighbouring heads of queries', () => {
    const before = tf.memory().numTensors
    const random = (seed: number, heads: number): tf.Tensor4D => tf.randomNormal([2, heads, 4, 3], 0, 1, 'float32', seed)
    const [query, key, value] = [random(1, 6), random(2, 2), random(3, 2)]
    const bias = tf.tidy(() => causalBias({ attentionMask: tf.ones([2, 4]), fillBias: tf.zeros([2, 4]) }))
    const repeated = (tensor: tf.Tensor4D): tf.Tensor4D => tf.gather(tensor, tf.tensor1d([0, 0, 0, 1, 1, 1], 'int32'), 1)
    const [actual, expected] = [
      tf.tidy(() => attention(query, key, value, bias, 0.7)),
      tf.tidy(() => attention(query, repeated(key), repeated(value), bias, 0.7))
    ]
    expect(actual.shape).to.deep.equal([2, 6, 4, 3])
    expect(relativeError(actual.dataSync(), expected.dataSync())).to.be.below(1e-6)
    tf.dispose([query, key, value, bias, actual, expected])
    expect(tf.memory().numTensors).to.equal(before)
  })
})
