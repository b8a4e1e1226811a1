import { expect } from 'chai'
import { inputShape, lengthsOf, outputShape, placesOf, tokensOf } from '../src/places.js'
import { batchOf } from '../src/tensor/batch.js'
import type { Batch, Site, TensorData } from '../src/types.js'

const zeros = (...shape: number[]): TensorData => ({ shape, values: new Float32Array(shape.reduce((product, size) => product * size, 1)) })
const batch = (tensors: Readonly<Record<string, TensorData>>): Batch => batchOf(new Map(Object.entries(tensors)))

const LINEAR: Site = { name: 'encoder', inFeatures: 3, outFeatures: 5 }
const DECODER: Site = { ...LINEAR, name: 'decoder', places: 'target' }
const HEAD: Site = { ...LINEAR, name: 'classifier', places: 1 }
const CONVOLUTION: Site = {
  name: 'conv', inFeatures: 2 * 3 * 2, outFeatures: 4, convolution: { channels: 2, height: 7, width: 6, kernel: [3, 2], stride: [2, 1], padding: [1, 0] }
}

describe('places', () => {
  it('are at each token of the input or the target, or so many a row', () => {
    const lengths = lengthsOf(batch({ input_ids: zeros(2, 9), labels: zeros(2, 4) }))
    expect(lengths).to.deep.equal({ input: 9, target: 4 })
    expect([LINEAR, DECODER, HEAD].map(site => placesOf(site, lengths))).to.deep.equal([9, 4, 1])
    expect(inputShape(DECODER, 2, lengths)).to.deep.equal([8, 3])
    expect(outputShape(DECODER, 2, lengths)).to.deep.equal([8, 5])
  })

  it('are of a convolution pixels before it, and patches after', () => {
    const lengths = lengthsOf(batch({ pixel_values: zeros(3, 2, 7, 6), labels: zeros(3) }))
    expect(lengths).to.deep.equal({ input: 1, target: 1 })
    expect(inputShape(CONVOLUTION, 3, lengths)).to.deep.equal([3 * 7 * 6, 2])
    expect(outputShape(CONVOLUTION, 3, lengths)).to.deep.equal([3 * 4 * 5, 4]) // ⌊(7 + 2 − 3) / 2⌋ + 1, 6 − 2 + 1
  })

  it('say what rows take', () => {
    expect(tokensOf(batch({ input_ids: zeros(2, 9), labels: zeros(2, 4) }), [DECODER, HEAD])).to.equal(8)
    expect(tokensOf(batch({ input_ids: zeros(2, 9), labels: zeros(2, 4) }), [LINEAR, DECODER])).to.equal(18)
    expect(tokensOf(batch({ pixel_values: zeros(3, 2, 7, 6), labels: zeros(3) }), [HEAD, CONVOLUTION])).to.equal(3)
    expect(tokensOf(batch({ pixel_values: zeros(3, 2, 7, 6), labels: zeros(3) }), [])).to.equal(3)
  })
})
