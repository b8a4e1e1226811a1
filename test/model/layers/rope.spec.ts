import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { ropeParameters, rotate, rotations } from '../../../src/model/layers/rope.js'
import { relativeError } from '../../support/compare.js'

const PLAIN = { rope_type: 'default', rope_theta: 100 } as const
const LLAMA3 = { rope_type: 'llama3', rope_theta: 100, factor: 4, low_freq_factor: 1, high_freq_factor: 2, original_max_position_embeddings: 20 } as const

/** The angle of position 1 for each pair of a head, from its sine. */
function anglesOf (parameters: Parameters<typeof rotations>[0], size: number): number[] {
  const { cos, sin } = rotations(parameters, 2, size)
  const angles = [...sin.dataSync().slice(size / 2)].map(Math.asin)
  tf.dispose([cos, sin])
  return angles
}

function close (actual: readonly number[], expected: readonly number[]): void {
  for (const [i, value] of expected.entries()) expect(actual[i]).to.be.closeTo(value, 1e-6)
}

describe('rotary position embeddings', () => {
  before(async () => { await startBackend() })

  it('turn the first pair by its position, and each next one more slowly', () => {
    close(anglesOf(PLAIN, 4), [1, 0.1])
    close(anglesOf({ rope_type: 'linear', rope_theta: 100, factor: 2 }, 4), [0.5, 0.05])
    close(anglesOf({ rope_type: 'default' }, 4), [1, 0.01]) // θ is 10,000
  })

  it('stretch long waves alone, as Llama 3 does', () => {
    // 20 positions hold 20·f/2π waves: 3.18, 1.007 and 0.318 for f = 1, 0.3162 and 0.1; above 2 they stay, below 1 they are stretched
    const share = 20 * Math.sqrt(0.1) / (2 * Math.PI) - 1
    const between = (1 - share) * Math.sqrt(0.1) / 4 + share * Math.sqrt(0.1)
    close(anglesOf(LLAMA3, 8), [1, between, 0.025, 0.1 * Math.sqrt(0.1) / 4])
  })

  it('leave position 0 and lengths as they are, and are undone by the gradient', () => {
    const before = tf.memory().numTensors
    const x = tf.randomNormal<tf.Rank.R4>([2, 3, 5, 6], 0, 1, 'float32', 7)
    const turn = rotations(PLAIN, 5, 6)
    const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => tf.mul(tf.sum(tf.square(rotate(x as tf.Tensor4D, turn))), 0.5))(x)
    expect(relativeError(grad.dataSync(), x.dataSync())).to.be.below(1e-6) // ½|R·x|² has the gradient Rᵀ·R·x
    const turned = rotate(x, turn)
    const first = (tensor: tf.Tensor4D): tf.Tensor => tf.slice(tensor, [0, 0, 0, 0], [-1, -1, 1, -1])
    const [own, other] = [first(turned), first(x)]
    expect(own.dataSync()).to.deep.equal(other.dataSync())
    expect(relativeError(turned.dataSync(), x.dataSync())).to.be.above(0.1)
    tf.dispose([x, turn.cos, turn.sin, value, grad, turned, own, other])
    expect(tf.memory().numTensors).to.equal(before)
  })

  it('are of kinds that are known', () => {
    expect(ropeParameters.safeParse({ rope_type: 'dynamic', factor: 2 }).success).to.equal(false)
    expect(ropeParameters.safeParse(LLAMA3).success).to.equal(true)
  })
})
