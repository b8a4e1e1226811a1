import * as tf from '@tensorflow/tfjs'
import { expect } from 'chai'
import { startBackend } from '../../src/engine/backend.js'
import { clipGradients, normsOf } from '../../src/gl/clip.js'
import { seeded } from '../merge/random.js'
import { relativeError } from '../support/compare.js'
import { uniform } from './adaptation.js'

/** By group, of different sizes. */
const SHAPES = { a1: [2, 3], a2: [4], b1: [5, 2, 2], c1: [] }
const groupOf = (name: string): string => name[0]

function gradients (): Map<string, tf.Tensor> {
  const random = seeded(5)
  return new Map(Object.entries(SHAPES).map(([name, shape]) => [name, tf.tensor(uniform(shape, random).values, shape)]))
}

async function flat (tensors: ReadonlyMap<string, tf.Tensor>, group: string): Promise<number[]> {
  const own = [...tensors].filter(([name]) => groupOf(name) === group)
  return (await Promise.all(own.map(async ([, tensor]) => [...await tensor.data<'float32'>()]))).flat()
}

describe('gl: clipping', () => {
  before(async () => { await startBackend() })

  it('knows the norm of each gradient', async () => {
    const given = gradients()
    const before = tf.memory().numTensors
    const norms = await normsOf(given)
    expect(tf.memory().numTensors).to.equal(before)
    expect([...norms.keys()]).to.deep.equal(Object.keys(SHAPES))
    for (const [name, tensor] of given) expect(norms.get(name), name).to.be.closeTo(Math.hypot(...await tensor.data<'float32'>()), 1e-6)
    tf.dispose([...given.values()])
  })

  it('brings each group to the norm, in the direction that it had, and leaves those within it as they are', async () => {
    const given = gradients()
    const norms = await normsOf(given)
    const before = tf.memory().numTensors
    const limit = Math.hypot(norms.get('a1')!, norms.get('a2')!) * 0.9
    const clipped = clipGradients(given, norms, groupOf, limit)
    const seen = { scaled: 0, left: 0 }
    for (const group of ['a', 'b', 'c']) {
      const [was, is] = [await flat(given, group), await flat(clipped, group)]
      const factor = limit / Math.hypot(...was)
      if (factor < 1) seen.scaled++
      else seen.left++
      expect(relativeError(is, was.map(value => value * Math.min(1, factor))), group).to.be.below(2e-6)
      if (factor >= 1) expect(is, group).to.deep.equal(was)
    }
    expect(seen).to.deep.equal({ scaled: 2, left: 1 })
    expect(tf.memory().numTensors).to.equal(before + 3) // a1, a2 and b1
    tf.dispose([...clipped.values(), ...given.values()])
  })

  it('leaves gradients of zero as they are', async () => {
    const zero = new Map([['a', tf.zeros([2])]])
    const clipped = clipGradients(zero, await normsOf(zero), groupOf, 1e-3)
    expect(await flat(clipped, 'a')).to.deep.equal([0, 0])
    tf.dispose([...zero.values()])
  })
})
