import { expect } from 'chai'
import { decodeAdapter, encodeAdapter } from '../../src/gl/adapter-message.js'
import { decodeSafetensors, encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { AdapterTensors, AuxiliarySpec, NamedTensors, TensorData } from '../../src/types.js'
import { seeded } from '../merge/random.js'
import { randomAdapter, SITES } from './adaptation.js'

const LOW_RANK: AuxiliarySpec = { kind: 'low-rank', rank: 2, alpha: 4 }
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 8, alpha: 8 }
const MLP: AuxiliarySpec = { kind: 'mlp', rank: 1, alpha: 1 }
const SPECS: ReadonlyArray<readonly [spec: AuxiliarySpec, parameters: readonly string[]]> = [
  [LOW_RANK, ['lora_A.weight', 'lora_B.weight']],
  [{ ...LOW_RANK, ranks: { [SITES[1].name]: 5 }, rankStabilised: true }, ['lora_A.weight', 'lora_B.weight']],
  [LINEAR, ['weight']],
  [MLP, [0, 1, 2].flatMap(n => [`layers.${n}.weight`, `layers.${n}.bias`])]
]

function expectRefused (tensors: NamedTensors, specs: readonly AuxiliarySpec[], what: string): void {
  expect(() => decodeAdapter(encodeSafetensors(tensors), specs, SITES), what).to.throw().with.property('name', 'InvalidAdapterError')
}

/** As they are in a message. */
function tensorsOf (adapter: AdapterTensors): NamedTensors {
  return decodeSafetensors(encodeAdapter(adapter)).tensors
}

describe('gl: an adapter as a message', () => {
  for (const [spec, parameters] of SPECS) {
    const what = JSON.stringify(spec)
    const adapter = randomAdapter(spec, SITES, seeded(1))
    const bytes = encodeAdapter(adapter)
    const tensors = tensorsOf(adapter)
    const [name, tensor] = [...tensors][0]
    const changed = (change: Partial<TensorData>): NamedTensors => new Map<string, TensorData>([...tensors, [name, { ...tensor, ...change }]])

    it(`is read as it was written, ${what}`, () => {
      expect(decodeAdapter(bytes, [spec], SITES)).to.deep.equal({ spec, adapter })
      expect(decodeAdapter(bytes, [spec], [...SITES].reverse())).to.deep.equal({ spec, adapter })
    })

    it(`is safetensors of every parameter under its site's name, ${what}`, () => {
      expect([...tensors.keys()]).to.have.members(SITES.flatMap(({ name }) => parameters.map(parameter => `${name}.${parameter}`)))
    })

    it(`may be of some of the sites, ${what}`, () => {
      for (const sites of [SITES.slice(0, 1), SITES.slice(1), [SITES[2], SITES[0]]]) {
        const some = randomAdapter(spec, sites, seeded(2))
        expect(decodeAdapter(encodeAdapter(some), [spec], SITES)).to.deep.equal({ spec, adapter: some })
      }
    })

    it(`is found among the kinds of a mixture, ${what}`, () => {
      const kinds = [...SPECS.map(([other]) => other).filter(({ kind }) => kind !== spec.kind), spec]
      for (const specs of [kinds, [...kinds].reverse()]) expect(decodeAdapter(bytes, specs, SITES)).to.deep.equal({ spec, adapter })
    })

    it(`is refused when a parameter is missing, too many, of another shape or of integers, ${what}`, () => {
      const whole = new Set(parameters.length === 1 ? tensors.keys() : []) // without its only parameter it is of some of the sites
      for (const key of tensors.keys()) {
        if (!whole.has(key)) expectRefused(new Map([...tensors].filter(([other]) => other !== key)), [spec], `without ${key}`)
      }
      expectRefused(new Map([...tensors, ['more', tensor]]), [spec], 'one more')
      expectRefused(new Map([...[...tensors].slice(1), [`${name}s`, tensor]]), [spec], 'another name')
      if (new Set(tensor.shape).size > 1) expectRefused(changed({ shape: [...tensor.shape].reverse() }), [spec], 'transposed')
      if (tensor.shape.length > 1) expectRefused(changed({ shape: [tensor.values.length] }), [spec], 'flat')
      expectRefused(changed({ shape: [...tensor.shape, 1] }), [spec], 'one more axis')
      expectRefused(changed({ values: Int32Array.from(tensor.values) }), [spec], 'integers')
    })

    it(`is refused when a value is not finite, ${what}`, () => {
      for (const value of [NaN, Infinity, -Infinity]) {
        for (const at of [0, tensor.values.length - 1]) expectRefused(changed({ values: (tensor.values as Float32Array).with(at, value) }), [spec], `${value}`)
      }
    })

    it(`is refused for other sites, ${what}`, () => {
      for (const sites of [SITES.slice(1), SITES.map(site => ({ ...site, inFeatures: 7 })), SITES.map(site => ({ ...site, name: `${site.name}s` })), []]) {
        expect(() => decodeAdapter(bytes, [spec], sites)).to.throw().with.property('name', 'InvalidAdapterError')
      }
    })

    it(`is refused as a tensor when it is cut, ${what}`, () => {
      for (const length of [0, 7, 100, bytes.byteLength - 1]) {
        expect(() => decodeAdapter(bytes.subarray(0, length), [spec], SITES)).to.throw().with.property('name', 'InvalidTensorError')
      }
    })
  }

  it('is refused when there is nothing in it', () => {
    expectRefused(new Map(), SPECS.map(([spec]) => spec), 'nothing')
  })

  it('is refused when it is of another rank, or of none of the kinds', () => {
    const [lowRank, , linear, mlp] = SPECS.map(([spec]) => tensorsOf(randomAdapter(spec, SITES, seeded(2))))
    expectRefused(lowRank, [{ ...LOW_RANK, rank: 3 }], 'rank')
    expectRefused(lowRank, [{ ...LOW_RANK, ranks: { [SITES[2].name]: 3 } }, LINEAR], 'the rank of a site')
    expectRefused(lowRank, [LINEAR, MLP], 'low-rank')
    expectRefused(linear, [LOW_RANK, MLP], 'linear')
    expectRefused(mlp, [LOW_RANK, LINEAR], 'mlp')
  })

  it('is refused when it is of one kind at some of the sites, and of another at others', () => {
    const [first, ...others] = SITES
    const mixed = new Map([...tensorsOf(randomAdapter(LOW_RANK, [first], seeded(3))), ...tensorsOf(randomAdapter(LINEAR, others, seeded(4)))])
    for (const specs of [[LOW_RANK, LINEAR], [LINEAR, LOW_RANK]]) expectRefused(mixed, specs, JSON.stringify(specs))
    const both = new Map([...tensorsOf(randomAdapter(LOW_RANK, SITES, seeded(3))), ...tensorsOf(randomAdapter(LINEAR, SITES, seeded(4)))])
    for (const specs of [[LOW_RANK, LINEAR], [LINEAR, LOW_RANK]]) expectRefused(both, specs, `both: ${JSON.stringify(specs)}`)
  })

  it('is not read for a rank or an alpha that is not possible', () => {
    const bytes = encodeAdapter(randomAdapter(LOW_RANK, SITES, seeded(3)))
    for (const wrong of [{ rank: 0 }, { alpha: 0 }, { ranks: { a: 1.5 } }, { alphas: { a: -1 } }]) {
      expect(() => decodeAdapter(bytes, [{ ...LOW_RANK, ...wrong }], SITES)).to.throw().with.property('name', 'InvalidOptionError')
    }
  })
})
