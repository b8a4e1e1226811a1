import { expect } from 'chai'
import { decodeAdapter, encodeAdapter } from '../../src/gl/adapter-message.js'
import { decodeSafetensors, encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { AuxiliarySpec, NamedTensors, TensorData } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { randomAdapter, SITES } from './adaptation.js'

const SPECS: readonly AuxiliarySpec[] = [{ kind: 'low-rank', rank: 2, alpha: 4 }, { kind: 'linear', rank: 8, alpha: 8 }]

function expectRefused (tensors: NamedTensors, spec: AuxiliarySpec, what: string): void {
  expect(() => decodeAdapter(encodeSafetensors(tensors), spec, SITES), what).to.throw().with.property('name', 'InvalidAdapterError')
}

describe('gl: an adapter as a message', () => {
  for (const spec of SPECS) {
    const adapter = randomAdapter(spec, SITES, seeded(1))
    const bytes = encodeAdapter(adapter)
    const { tensors } = decodeSafetensors(bytes)
    const [name, tensor] = [...tensors][0]
    const changed = (change: Partial<TensorData>): NamedTensors => new Map<string, TensorData>([...tensors, [name, { ...tensor, ...change }]])

    it(`is read as it was written, ${spec.kind}`, () => {
      expect(decodeAdapter(bytes, spec, SITES)).to.deep.equal(adapter)
      expect(decodeAdapter(bytes, spec, [...SITES].reverse())).to.deep.equal(adapter)
    })

    it(`is safetensors of every parameter under its site's name, ${spec.kind}`, () => {
      const parameters = spec.kind === 'low-rank' ? ['lora_A.weight', 'lora_B.weight'] : ['weight']
      expect([...tensors.keys()]).to.deep.equal(SITES.flatMap(({ name }) => parameters.map(parameter => `${name}.${parameter}`)))
    })

    it(`is refused when a tensor is missing, too many, of another shape or of integers, ${spec.kind}`, () => {
      for (const key of tensors.keys()) expectRefused(new Map([...tensors].filter(([other]) => other !== key)), spec, `without ${key}`)
      expectRefused(new Map([...tensors, ['more', tensor]]), spec, 'one more')
      expectRefused(new Map([...[...tensors].slice(1), [`${name}s`, tensor]]), spec, 'another name')
      expectRefused(changed({ shape: [...tensor.shape].reverse() }), spec, 'transposed')
      expectRefused(changed({ shape: [tensor.values.length] }), spec, 'flat')
      expectRefused(changed({ shape: [...tensor.shape, 1] }), spec, 'one more axis')
      expectRefused(changed({ values: Int32Array.from(tensor.values) }), spec, 'integers')
      expectRefused(new Map(), spec, 'nothing')
    })

    it(`is refused when a value is not finite, ${spec.kind}`, () => {
      for (const value of [NaN, Infinity, -Infinity]) {
        for (const at of [0, tensor.values.length - 1]) expectRefused(changed({ values: (tensor.values as Float32Array).with(at, value) }), spec, `${value}`)
      }
    })

    it(`is refused for other sites, ${spec.kind}`, () => {
      for (const sites of [SITES.slice(1), [...SITES, { ...SITES[0], name: 'other' }], SITES.map(site => ({ ...site, inFeatures: 7 }))]) {
        expect(() => decodeAdapter(bytes, spec, sites)).to.throw().with.property('name', 'InvalidAdapterError')
      }
    })

    it(`is refused as a tensor when it is cut, ${spec.kind}`, () => {
      for (const length of [0, 7, 100, bytes.byteLength - 1]) {
        expect(() => decodeAdapter(bytes.subarray(0, length), spec, SITES)).to.throw().with.property('name', 'InvalidTensorError')
      }
    })
  }

  it('is refused when it is of another rank or kind', () => {
    const [lowRank, linear] = SPECS.map(spec => decodeSafetensors(encodeAdapter(randomAdapter(spec, SITES, seeded(2)))).tensors)
    expectRefused(lowRank, { ...SPECS[0], rank: 3 }, 'rank')
    expectRefused(lowRank, SPECS[1], 'low-rank')
    expectRefused(linear, SPECS[0], 'linear')
  })

  it('is not read for a rank or an alpha that is not possible', () => {
    const bytes = encodeAdapter(randomAdapter(SPECS[0], SITES, seeded(3)))
    for (const wrong of [{ rank: 0 }, { alpha: 0 }]) {
      expect(() => decodeAdapter(bytes, { ...SPECS[0], ...wrong }, SITES)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})
