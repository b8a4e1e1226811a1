import { expect } from 'chai'
import { dequantize } from '../../src/tensor/quantize.js'
import { Remainders } from '../../src/tensor/remainders.js'
import { seeded } from '../merge/random.js'

function random (count: number, seed: number): Float32Array {
  const next = seeded(seed)
  return Float32Array.from({ length: count }, () => (next() - 0.4) * 10 ** Math.floor(6 * next() - 3))
}

/** What is sent of a step. */
function sent (remainders: Remainders, key: string, step: number, values: Float32Array, name = 'a'): Float32Array {
  return dequantize('int8', remainders.at(key, step)(name, values), values.length)
}

function add (values: Float32Array, sum: Float64Array): void {
  for (const [i, value] of values.entries()) sum[i] += value
}

function furthest (one: ArrayLike<number>, other: ArrayLike<number>): number {
  return Math.max(...Array.from(one, (value, i) => Math.abs(value - other[i])))
}

describe('tensor: what rounding leaves out', () => {
  for (const count of [1, 63, 64, 200]) {
    it(`is added to the next: sums are right but for one rounding, however many steps, ${count} values`, () => {
      const remainders = new Remainders()
      const [whole, received, alone] = [new Float64Array(count), new Float64Array(count), new Float64Array(count)]
      let most = 0
      for (let step = 0; step < 200; step++) {
        const values = random(count, 1) // the same each time, so that roundings by themselves err to one side
        most = Math.max(...values.map(Math.abs))
        add(values, whole)
        add(sent(remainders, 'k', step, values), received)
        add(sent(new Remainders(), 'k', step, values), alone)
      }
      expect(furthest(received, whole)).to.be.below(most / 127)
      if (count > 1) expect(furthest(alone, whole)).to.be.above(10 * furthest(received, whole))
    })
  }

  it('is that of a step, which is rounded as at first when it is tried again', () => {
    const [once, twice] = [new Remainders(), new Remainders()]
    for (let step = 0; step < 5; step++) {
      const values = random(100, step)
      const first = sent(twice, 'k', step, values)
      expect(sent(twice, 'k', step, values)).to.deep.equal(first)
      expect(sent(once, 'k', step, values)).to.deep.equal(first)
    }
    expect(sent(twice, 'k', 2, random(100, 2)), 'begun anew').to.deep.equal(sent(new Remainders(), 'k', 0, random(100, 2)))
  })

  it('is each one\'s own, by key and name, and of as many values', () => {
    const [remainders, others] = [new Remainders(), new Remainders()]
    for (let step = 0; step < 4; step++) {
      sent(others, 'k', step, random(70, step))
      const round = remainders.at('other', step)
      round('a', random(70, 10 + step))
      const both = remainders.at('k', step)
      both('b', random(70, 20 + step))
      both('a', random(70, step))
    }
    expect(sent(remainders, 'k', 4, random(70, 4))).to.deep.equal(sent(others, 'k', 4, random(70, 4)))
    expect(sent(remainders, 'k', 5, random(50, 4))).to.deep.equal(sent(new Remainders(), 'k', 0, random(50, 4)))
  })

  it('is nothing where a value is not finite', () => {
    const remainders = new Remainders()
    for (const value of [NaN, Infinity]) {
      sent(remainders, 'k', 0, random(70, 1).with(3, value))
      expect(sent(remainders, 'k', 1, random(70, 1))).to.deep.equal(sent(new Remainders(), 'k', 0, random(70, 1)))
    }
  })
})
