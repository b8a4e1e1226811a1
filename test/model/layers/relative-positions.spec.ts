import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { bucketOf, type Buckets, relativeBias } from '../../../src/model/layers/relative-positions.js'

/** Of transformers' `_relative_position_bucket`, from −3000 to 3000: the first distance of each bucket. */
const FIRST: ReadonlyArray<readonly [Buckets, ReadonlyArray<readonly [distance: number, bucket: number]>]> = [
  [{ count: 32, farthest: 128, bothWays: true }, [
    [-3000, 15], [-90, 14], [-63, 13], [-45, 12], [-31, 11], [-22, 10], [-15, 9], [-11, 8], [-7, 7], [-6, 6], [-5, 5], [-4, 4], [-3, 3], [-2, 2], [-1, 1], [0, 0],
    [1, 17], [2, 18], [3, 19], [4, 20], [5, 21], [6, 22], [7, 23], [8, 24], [12, 25], [16, 26], [23, 27], [32, 28], [46, 29], [64, 30], [91, 31]
  ]],
  [{ count: 32, farthest: 128, bothWays: false }, [
    [-3000, 31], [-112, 30], [-98, 29], [-86, 28], [-76, 27], [-66, 26], [-58, 25], [-51, 24], [-45, 23], [-39, 22], [-34, 21], [-30, 20], [-26, 19], [-23, 18], [-20, 17], [-18, 16],
    [-15, 15], [-14, 14], [-13, 13], [-12, 12], [-11, 11], [-10, 10], [-9, 9], [-8, 8], [-7, 7], [-6, 6], [-5, 5], [-4, 4], [-3, 3], [-2, 2], [-1, 1], [0, 0]
  ]],
  [{ count: 8, farthest: 12, bothWays: true }, [[-3000, 3], [-4, 2], [-1, 1], [0, 0], [1, 5], [2, 6], [5, 7]]],
  [{ count: 8, farthest: 12, bothWays: false }, [[-3000, 7], [-9, 6], [-6, 5], [-5, 4], [-3, 3], [-2, 2], [-1, 1], [0, 0]]]
]

describe('relative positions', () => {
  before(async () => { await startBackend() })

  for (const [buckets, first] of FIRST) {
    it(`are in the buckets of transformers, ${JSON.stringify(buckets)}`, () => {
      for (let distance = -3000; distance <= 3000; distance++) {
        expect(bucketOf(distance, buckets), `${distance}`).to.equal(first.findLast(([begin]) => begin <= distance)?.[1])
      }
    })
  }

  it('add to the score of each query, key and head what stands in their bucket, wherever queries and keys stand', () => {
    const before = tf.memory().numTensors
    const buckets = { count: 8, farthest: 12, bothWays: true }
    const table = tf.tensor2d(Array.from({ length: 16 }, (_, i) => i + 1), [8, 2])
    for (const [queries, keys] of [[[0, 1, 2, 3], [0, 1, 2, 3]], [[6], [0, 1, 2, 3, 4, 5, 6]], [[2], [0, 1, 2, 3, 2]]]) {
      const actual = tf.tidy(() => relativeBias(table, buckets, { queries: tf.tensor1d(queries, 'int32'), keys: tf.tensor1d(keys, 'int32') }))
      const expected = [0, 1].map(head => queries.map(query => keys.map(key => 2 * bucketOf(key - query, buckets) + head + 1)))
      expect(actual.arraySync()).to.deep.equal([expected])
      actual.dispose()
    }
    table.dispose()
    expect(tf.memory().numTensors).to.equal(before)
  })
})
