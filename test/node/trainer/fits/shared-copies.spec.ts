import { expect } from 'chai'
import { SharedCopies } from '../../../../src/node/trainer/fits/shared-copies.js'
import type { FloatTensor, TensorData } from '../../../../src/types.js'

describe('fits: copies for other threads', () => {
  const values = Float32Array.of(0, 1.5, -2, 3).subarray(1)

  it('are what was given, in memory that threads share', () => {
    const given = ['site', new Map<string, TensorData>([['a', { shape: [3], values }], ['b', { shape: [2, 1], values: Int32Array.of(7, 8) }], ['c', { shape: [0], values: new Float32Array() }]]), 2, undefined]
    const { value } = new SharedCopies().of(given)
    expect(value).to.deep.equal(given)
    for (const tensor of ((value as typeof given)[1] as Map<string, TensorData>).values()) expect(tensor.values.buffer).to.be.instanceOf(SharedArrayBuffer)
  })

  it('stay what they are until they are given up, and then make room for others', () => {
    const copies = new SharedCopies()
    const [first, second] = [copies.of({ shape: [3], values }), copies.of({ shape: [3], values })]
    const memory = (copy: { readonly value: unknown }): ArrayBufferLike => (copy.value as FloatTensor).values.buffer
    expect(memory(first)).to.not.equal(memory(second))
    first.giveUp()
    const third = copies.of({ shape: [3], values: Float32Array.of(4, 5, 6) })
    expect(memory(third)).to.equal(memory(first))
    expect((second.value as FloatTensor).values).to.deep.equal(values)
    expect((third.value as FloatTensor).values).to.deep.equal(Float32Array.of(4, 5, 6))
  })
})
