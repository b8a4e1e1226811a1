import { expect } from 'chai'
import { decodeAdaptation, encodeAdaptation, namedAdaptation } from '../../src/tensor/adaptation.js'
import { fromBfloat16, toBfloat16 } from '../../src/tensor/half.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import { type AdaptationData, type NamedTensors, type SiteData, type TensorData, WIRE_DTYPES, type WireDtype } from '../../src/types.js'
import { randomData, SITES } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'

const TOKENS = 4
const DATA: AdaptationData = randomData(SITES, TOKENS, seeded(1))

function rounded ({ x, gradient }: SiteData): SiteData {
  const round = (values: Float32Array): Float32Array => fromBfloat16(toBfloat16(values))
  return { x: { ...x, values: round(x.values) }, gradient: { ...gradient, values: round(gradient.values) } }
}

/** What arrives of the data in each of the forms that floats have on the wire. */
const ARRIVING: Record<WireDtype, (data: AdaptationData) => AdaptationData> = {
  f32: data => data,
  bf16: data => new Map([...data].map(([site, own]) => [site, rounded(own)]))
}

function expectRefused (tensors: NamedTensors, what: string, tokens = TOKENS): void {
  expect(() => decodeAdaptation(encodeSafetensors(tensors), SITES, tokens), what).to.throw().with.property('name', 'InvalidTensorError')
}

describe('tensor: adaptation data', () => {
  for (const wire of WIRE_DTYPES) {
    it(`arrive as they were sent, in the precision of the wire, ${wire}`, () => {
      for (const tokens of [1, 7]) {
        const data = randomData(SITES, tokens, seeded(tokens))
        expect(decodeAdaptation(encodeAdaptation(data, wire), SITES, tokens)).to.deep.equal(ARRIVING[wire](data))
      }
      expect(decodeAdaptation(encodeAdaptation(new Map(), wire), [], TOKENS)).to.deep.equal(new Map())
    })

    it(`are refused when they are cut, ${wire}`, () => {
      const bytes = encodeAdaptation(DATA, wire)
      for (const length of [0, 7, 100, bytes.byteLength - 1]) {
        expect(() => decodeAdaptation(bytes.subarray(0, length), SITES, TOKENS)).to.throw().with.property('name', 'InvalidTensorError')
      }
    })
  }

  it('arrive in the order of the sites that were asked for', () => {
    const sites = [...SITES].reverse()
    expect([...decodeAdaptation(encodeAdaptation(DATA, 'f32'), sites, TOKENS).keys()]).to.deep.equal(sites.map(({ name }) => name))
  })

  it('take half the bytes in bf16', () => {
    const long = randomData(SITES, 1000, seeded(2))
    expect(encodeAdaptation(long, 'bf16').byteLength / encodeAdaptation(long, 'f32').byteLength).to.be.closeTo(0.5, 0.01)
  })

  it('are x and grad of each site by name', () => {
    const named = namedAdaptation(DATA)
    expect([...named.keys()]).to.deep.equal(SITES.flatMap(({ name }) => [`x.${name}`, `grad.${name}`]))
    for (const [site, { x, gradient }] of DATA) expect([named.get(`x.${site}`), named.get(`grad.${site}`)]).to.deep.equal([x, gradient])
  })

  it('are refused when a tensor is missing, too many, of another shape or of integers', () => {
    const named = namedAdaptation(DATA)
    for (const [name, { shape, values }] of named) {
      const others = [...named].filter(([other]) => other !== name)
      const changed = (change: Partial<TensorData>): NamedTensors => new Map<string, TensorData>([...named, [name, { shape, values, ...change }]])
      expectRefused(new Map(others), `without ${name}`)
      expectRefused(new Map([...others, [`${name}s`, { shape, values }]]), `${name} under another name`)
      expectRefused(changed({ values: Int32Array.from(values) }), `${name} of integers`)
      expectRefused(changed({ shape: [values.length] }), `${name} without its axis`)
      expectRefused(changed({ shape: [2, TOKENS / 2, shape[1]] }), `${name} in rows`)
      expectRefused(changed({ shape: [TOKENS, shape[1] - 1], values: values.slice(TOKENS) }), `${name} of fewer features`)
      expectRefused(changed({ shape: [TOKENS - 1, shape[1]], values: values.slice(shape[1]) }), `${name} of fewer tokens`)
    }
    expectRefused(new Map([...named, ['more', { shape: [0], values: new Float32Array(0) }]]), 'one more')
    expectRefused(named, 'another number of tokens', TOKENS + 1)
    expectRefused(namedAdaptation(randomData(SITES.slice(1), TOKENS, seeded(1))), 'a site less')
  })
})
