import { expect } from 'chai'
import { parameterShapes } from '../../src/gl/auxiliary.js'
import { decodeAdaptation, encodeAdaptation, factorLayout, isSummed, type MessageLayout, mostBytes, namedAdaptation, pairLayout, productLayout, sharedInputs, tensorsOf } from '../../src/tensor/adaptation.js'
import { fromBfloat16, toBfloat16 } from '../../src/tensor/half.js'
import { dequantize, quantize } from '../../src/tensor/quantize.js'
import { decodeSafetensors, encodeSafetensors } from '../../src/tensor/safetensors.js'
import { decodeScaled, encodeScaled } from '../../src/tensor/scaled-message.js'
import { type AdaptationData, type NamedTensors, type Site, type TensorData, WIRE_FORMS, type WireForm } from '../../src/types.js'
import { randomAdapter, randomData, SITES, uniform } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { emptyBatch } from '../support/batch.js'

const TOKENS = 4
const SPEC = { kind: 'low-rank', rank: 2, alpha: 4 } as const

function pairs (sites: readonly Site[], tokens: number, seed: number): AdaptationData {
  return randomData(sites, tokens, seeded(seed))
}

function factors (sites: readonly Site[], seed: number): AdaptationData {
  return new Map([...randomAdapter(SPEC, sites, seeded(seed))].map(([site, own]) => [site, { factors: own }]))
}

function products (sites: readonly Site[], seed: number): AdaptationData {
  const random = seeded(seed)
  return new Map(sites.map(({ name, inFeatures, outFeatures }) => [name, { product: uniform([outFeatures, inFeatures], random) }]))
}

interface Form {
  readonly data: (sites: readonly Site[], tokens: number, seed: number) => AdaptationData
  readonly layout: (sites: readonly Site[], tokens: number) => MessageLayout
  /** What arrives of a value. */
  readonly arriving: (values: Float32Array) => Float32Array
}

function layoutOfPairs (sites: readonly Site[], tokens: number): MessageLayout {
  return pairLayout(sites, emptyBatch(1, tokens))
}

function layoutOfFactors (sites: readonly Site[]): MessageLayout {
  return factorLayout(new Map(sites.map(site => [site.name, parameterShapes(SPEC, site)])))
}

const FORMS: Record<WireForm, Form> = {
  f32: { data: pairs, layout: layoutOfPairs, arriving: values => values },
  bf16: { data: pairs, layout: layoutOfPairs, arriving: values => fromBfloat16(toBfloat16(values)) },
  f16: {
    data: pairs,
    layout: (sites, tokens) => ({ ...layoutOfPairs(sites, tokens), dtype: 'F16' }),
    arriving: values => decodeScaled(encodeScaled(new Map([['t', { shape: [values.length], values }]]))).tensors.get('t')!.values as Float32Array
  },
  factors: {
    data: (sites, _, seed) => factors(sites, seed),
    layout: layoutOfFactors,
    arriving: values => values
  },
  int8: {
    data: (sites, _, seed) => factors(sites, seed),
    layout: sites => ({ ...layoutOfFactors(sites), dtype: 'I8' }),
    arriving: values => dequantize('int8', quantize('int8', values), values.length)
  },
  product: {
    data: (sites, _, seed) => products(sites, seed),
    layout: productLayout,
    arriving: values => values
  }
}

function allOf (data: AdaptationData): TensorData[] {
  return [...data.values()].flatMap(tensorsOf)
}

for (const wire of WIRE_FORMS) {
  const { data: dataOf, layout, arriving } = FORMS[wire]

  describe(`tensor: adaptation data, ${wire}`, () => {
    const data = dataOf(SITES, TOKENS, 1)
    const encode = wire === 'f16' ? encodeScaled : encodeSafetensors

    function expectRefused (tensors: NamedTensors, what: string, tokens = TOKENS): void {
      expect(() => decodeAdaptation(encode(tensors), layout(SITES, tokens)), what).to.throw().with.property('name', 'InvalidTensorError')
    }

    it('arrive as they were sent, in the precision of the wire', () => {
      for (const tokens of [1, 7]) {
        const sent = dataOf(SITES, tokens, tokens)
        const bytes = encodeAdaptation(sent, wire)
        const received = decodeAdaptation(bytes, layout(SITES, tokens))
        expect([...received.keys()]).to.deep.equal([...sent.keys()])
        expect([...namedAdaptation(received).keys()]).to.deep.equal([...namedAdaptation(sent).keys()])
        expect(allOf(received)).to.deep.equal(allOf(sent).map(({ shape, values }) => ({ shape, values: arriving(values as Float32Array) })))
        expect(bytes.byteLength).to.be.at.most(mostBytes(layout(SITES, tokens)))
      }
      expect(decodeAdaptation(encodeAdaptation(new Map(), wire), layout([], TOKENS))).to.deep.equal(new Map())
    })

    it('are refused when they are cut', () => {
      const bytes = encodeAdaptation(data, wire)
      for (const length of [0, 7, 100, bytes.byteLength - 1]) {
        expect(() => decodeAdaptation(bytes.subarray(0, length), layout(SITES, TOKENS))).to.throw().with.property('name', 'InvalidTensorError')
      }
    })

    it('arrive in the order of the sites that were asked for', () => {
      const sites = [...SITES].reverse()
      expect([...decodeAdaptation(encodeAdaptation(data, wire), layout(sites, TOKENS)).keys()]).to.deep.equal(sites.map(({ name }) => name))
    })

    it('are refused when a tensor is missing, too many, of another shape or of integers', () => {
      const named = namedAdaptation(data)
      for (const [name, { shape: [rows, features], values }] of named) {
        const others = [...named].filter(([other]) => other !== name)
        const changed = (change: Partial<TensorData>): NamedTensors => new Map<string, TensorData>([...named, [name, { shape: [rows, features], values, ...change }]])
        expectRefused(new Map(others), `without ${name}`)
        expectRefused(new Map([...others, [`${name}s`, { shape: [rows, features], values }]]), `${name} under another name`)
        expectRefused(changed({ values: Int32Array.from(values) }), `${name} of integers`)
        expectRefused(changed({ shape: [values.length] }), `${name} without its axis`)
        expectRefused(changed({ shape: [1, rows, features] }), `${name} with an axis more`)
        expectRefused(changed({ shape: [rows, features - 1], values: values.slice(rows) }), `${name} of fewer columns`)
        expectRefused(changed({ shape: [rows - 1, features], values: values.slice(features) }), `${name} of fewer rows`)
      }
      expectRefused(new Map([...named, ['more', { shape: [0], values: new Float32Array(0) }]]), 'one more')
      expectRefused(namedAdaptation(dataOf(SITES.slice(1), TOKENS, 1)), 'a site less')
      if (!isSummed(wire)) expectRefused(named, 'another number of tokens', TOKENS + 1)
    })
  })
}

describe('tensor: adaptation data on the wire', () => {
  for (const wire of ['bf16', 'f16'] as const) {
    it(`take half the bytes in ${wire}`, () => {
      const long = pairs(SITES, 1000, 2)
      expect(encodeAdaptation(long, wire).byteLength / encodeAdaptation(long, 'f32').byteLength).to.be.closeTo(0.5, 0.01)
    })
  }

  describe('with an x that sites have in common', () => {
    const ENDS = [...['q', 'k', 'v'].map(name => ({ name, inFeatures: 40, outFeatures: 3 })), { name: 'o', inFeatures: 40, outFeatures: 2 }]
    const layout = pairLayout(ENDS, emptyBatch(1, TOKENS))

    /** Those of `same` have the x of the first. */
    function sharing (same: readonly string[]): AdaptationData {
      const own = randomData(ENDS, TOKENS, seeded(3))
      const { shape, values } = own.get(same[0])!.x
      return new Map([...own].map(([site, pair]) => [site, same.includes(site) ? { ...pair, x: { shape, values: values.slice() } } : pair]))
    }

    it('have it once, and arrive as they were sent', () => {
      for (const [same, wire] of [[['q', 'k', 'v'], 'f32'], [['k', 'o'], 'f32'], [['q', 'o', 'v'], 'bf16'], [['q', 'v'], 'f16'], [['q'], 'f32']] as const) {
        const data = sharing(same)
        const bytes = encodeAdaptation(data, wire)
        const { tensors, metadata } = wire === 'f16' ? decodeScaled(bytes) : decodeSafetensors(bytes)
        expect([...tensors.keys()].filter(name => name.startsWith('x.'))).to.have.lengthOf(ENDS.length + 1 - same.length)
        expect(Object.keys(metadata)).to.have.lengthOf(same.length - 1)
        const received = decodeAdaptation(bytes, { ...layout, ...(wire === 'f16' && { dtype: 'F16' }) })
        expect(allOf(received)).to.deep.equal(allOf(data).map(({ shape, values }) => ({ shape, values: FORMS[wire].arriving(values as Float32Array) })))
      }
      expect(encodeAdaptation(sharing(['q', 'k', 'v']), 'f32').byteLength).to.be.below(encodeAdaptation(sharing(['q']), 'f32').byteLength - 2 * 4 * 40 * TOKENS + 200)
    })

    it('are two where they differ in a bit, in their shape or in what they are', () => {
      const { x, gradient } = randomData(ENDS, TOKENS, seeded(3)).get('q')!
      const others: readonly TensorData[] = [
        { shape: x.shape, values: x.values.map((value, i) => i === 7 ? value * (1 + 2 ** -23) : value) },
        { shape: [x.shape[1], x.shape[0]], values: x.values },
        { shape: x.shape, values: new Int32Array(Uint8Array.from(new Uint8Array(x.values.buffer)).buffer) }
      ]
      for (const other of others) expect(sharedInputs(new Map([['q', { x, gradient }], ['k', { x: other, gradient }]])).size).to.equal(0)
    })

    it('refuse what is said to be an x and is not, or is there already', () => {
      const named = namedAdaptation(sharing(['q', 'k']))
      const without = (...names: string[]): NamedTensors => new Map([...named].filter(([name]) => !names.includes(name)))
      const lies: ReadonlyArray<readonly [NamedTensors, Record<string, string>]> = [
        [without('x.k'), { 'x.k': 'x.other' }],
        [without('x.k'), { 'x.k': 'x.k' }],
        [without('x.k', 'x.v'), { 'x.k': 'x.v', 'x.v': 'x.k' }],
        [without('x.k', 'x.v'), { 'x.k': 'x.q', 'x.v': 'x.k' }],
        [without('x.k'), { 'x.k': 'grad.q' }],
        [without('grad.k'), { 'grad.k': 'grad.q' }],
        [without('grad.k'), { 'grad.k': 'x.q' }],
        [named, { 'x.k': 'x.q' }],
        [without('x.k'), { 'x.k': 'x.q', 'x.more': 'x.q' }],
        [without('x.k'), { 'x.more': 'x.q' }],
        [without('x.k'), {}]
      ]
      expect(decodeAdaptation(encodeSafetensors(without('x.k'), { metadata: { 'x.k': 'x.q' } }), layout).size).to.equal(ENDS.length)
      for (const [tensors, metadata] of lies) {
        expect(() => decodeAdaptation(encodeSafetensors(tensors, { metadata }), layout), JSON.stringify(metadata)).to.throw().with.property('name', 'InvalidTensorError')
      }
    })

    it('refuse one that has not the shape of the site', () => {
      const sites = [ENDS[0], { ...ENDS[1], inFeatures: 41 }]
      const named = namedAdaptation(new Map([...sharing(['q', 'k'])].slice(0, 2)))
      const bytes = encodeSafetensors(new Map([...named].filter(([name]) => name !== 'x.k')), { metadata: { 'x.k': 'x.q' } })
      expect(() => decodeAdaptation(bytes, pairLayout(sites, emptyBatch(1, TOKENS)))).to.throw().with.property('name', 'InvalidTensorError')
    })
  })

  it('are x and grad of each site by name, or grad of each parameter', () => {
    const data = randomData(SITES, TOKENS, seeded(1))
    const named = namedAdaptation(data)
    expect([...named.keys()]).to.deep.equal(SITES.flatMap(({ name }) => [`x.${name}`, `grad.${name}`]))
    for (const [site, { x, gradient }] of data) expect([named.get(`x.${site}`), named.get(`grad.${site}`)]).to.deep.equal([x, gradient])
    expect([...namedAdaptation(factors(SITES, 1)).keys()]).to.deep.equal(SITES.flatMap(({ name }) => [`grad.${name}.lora_A.weight`, `grad.${name}.lora_B.weight`]))
  })
})
