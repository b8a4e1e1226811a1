import { expect } from 'chai'
import { decodeWeightNorms, encodeWeightNorms } from '../../src/tensor/weight-norms.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { FloatTensor, NamedTensors } from '../../src/types.js'
import { SITES } from '../gl/adaptation.js'

const NORMS: ReadonlyMap<string, FloatTensor> = new Map(SITES.map(({ name, outFeatures }, i) =>
  [name, { shape: [outFeatures], values: Float32Array.from({ length: outFeatures }, (_, o) => i + o / 2) }]))

describe('tensor: norms of rows', () => {
  it('arrive as they were sent', () => {
    expect(decodeWeightNorms(encodeWeightNorms(NORMS), SITES)).to.deep.equal(NORMS)
  })

  it('are refused where they are none of these sites', () => {
    const [first] = SITES
    const { shape, values } = NORMS.get(first.name)!
    const changed = (tensor: Partial<FloatTensor>): NamedTensors => new Map([...NORMS, [first.name, { shape, values, ...tensor }]])
    const wrong: Record<string, NamedTensors> = {
      'one less': new Map([...NORMS].slice(1)),
      'one more': new Map([...NORMS, ['other', { shape, values }]]),
      'another name': new Map([...[...NORMS].slice(1), ['other', { shape, values }]]),
      'another shape': changed({ shape: [1, shape[0]] }),
      'another length': changed({ shape: [1], values: values.slice(0, 1) }),
      negative: changed({ values: values.with(0, -1) }),
      'no number': changed({ values: values.with(0, NaN) }),
      infinite: changed({ values: values.with(0, Infinity) })
    }
    for (const [what, tensors] of Object.entries(wrong)) {
      expect(() => decodeWeightNorms(encodeSafetensors(tensors), SITES), what).to.throw().with.property('name', 'InvalidTensorError')
    }
  })
})
