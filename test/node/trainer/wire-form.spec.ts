import { expect } from 'chai'
import { checkWire, describeWire, layoutOf, WIRE_OPTIONS, wireFormOf } from '../../../src/node/trainer/wire-form.js'
import { mostBytes } from '../../../src/tensor/adaptation.js'
import { type AuxiliarySpec, WIRE_FORMS, type WireForm } from '../../../src/types.js'
import { SITES } from '../../gl/adaptation.js'
import { emptyBatch } from '../../support/batch.js'

const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }
const MLP: AuxiliarySpec = { kind: 'mlp', rank: 1, alpha: 1 }
const lowRank = (rank: number, ranks: Readonly<Record<string, number>> = {}): AuxiliarySpec => ({ kind: 'low-rank', rank, alpha: 1, ranks })

describe('the wire form of a trainer', () => {
  it('is the one that was asked for', () => {
    for (const form of WIRE_FORMS) expect(wireFormOf(form, lowRank(3), SITES, emptyBatch(2, 5))).to.equal(form)
  })

  it('is by default the exact one that is smallest', () => {
    const batch = emptyBatch(2, 5)
    const specs = [...[1, 2, 9, 10, 11, 100].map(rank => lowRank(rank)), lowRank(1, { [SITES[0].name]: 40 }), lowRank(40, { [SITES[0].name]: 1, [SITES[1].name]: 2 })]
    for (const auxiliary of specs) {
      for (const sites of [SITES, SITES.slice(0, 1), SITES.slice(2)]) {
        const form = wireFormOf('auto', auxiliary, sites, batch)
        const bytes = (other: WireForm): number => mostBytes(layoutOf({ wire: other, auxiliary }, sites, batch))
        expect(bytes(form)).to.equal(Math.min(bytes('f32'), bytes('factors'), bytes('product')))
      }
    }
    for (const [spec, many] of [[LINEAR, 'product'], [MLP, 'f32'], [{ ...MLP, kind: 'ia3' }, 'f32'], [{ ...MLP, kind: 'dora' }, 'f32']] as const) {
      expect(wireFormOf('auto', spec, SITES, emptyBatch(1, 1))).to.equal('f32')
      expect(wireFormOf('auto', spec, SITES, emptyBatch(1, 1000))).to.equal(many)
    }
  })

  it('is the product from in·out / (in + out) tokens on, and not where no blob has room for one', () => {
    const site = { name: 'h', inFeatures: 6, outFeatures: 3 }
    for (const [tokens, form] of [[1, 'f32'], [2, 'f32'], [3, 'product']] as const) expect(wireFormOf('auto', LINEAR, [site], emptyBatch(1, tokens))).to.equal(form)
    const large = { name: 'large', inFeatures: 1 << 14, outFeatures: 1 << 14 }
    expect(wireFormOf('auto', LINEAR, [site, large], emptyBatch(1, 100_000))).to.equal('f32')
    expect(layoutOf({ wire: 'product', auxiliary: LINEAR }, [site], emptyBatch(1, 3)).shapes).to.deep.equal(new Map([['product.h', [3, 6]]]))
  })

  it('has factors of the rank of each site, and pairs whatever the rank', () => {
    const [first, second] = SITES
    const auxiliary = lowRank(2, { [second.name]: 7 })
    expect([...layoutOf({ wire: 'factors', auxiliary }, [first, second], emptyBatch(2, 5)).shapes]).to.deep.equal([
      [`grad.${first.name}.lora_A.weight`, [2, first.inFeatures]], [`grad.${first.name}.lora_B.weight`, [first.outFeatures, 2]],
      [`grad.${second.name}.lora_A.weight`, [7, second.inFeatures]], [`grad.${second.name}.lora_B.weight`, [second.outFeatures, 7]]
    ])
    for (const other of [auxiliary, MLP]) {
      expect([...layoutOf({ wire: 'f32', auxiliary: other }, [first], emptyBatch(2, 5)).shapes]).to.deep.equal([[`x.${first.name}`, [10, first.inFeatures]], [`grad.${first.name}`, [10, first.outFeatures]]])
    }
  })

  it('is refused where auxiliaries have no factors', () => {
    for (const option of WIRE_OPTIONS) expect(() => { checkWire(option, lowRank(2)) }).to.not.throw()
    for (const spec of [LINEAR, MLP]) {
      expect(() => { checkWire('factors', spec) }).to.throw('--wire auto').with.property('name', 'InvalidOptionError')
      for (const option of ['auto', 'f32', 'bf16', 'f16'] as const) expect(() => { checkWire(option, spec) }).to.not.throw()
    }
    for (const option of ['product', 'int8'] as const) expect(() => { checkWire(option, LINEAR) }).to.not.throw()
    for (const kind of ['mlp', 'ia3', 'dora'] as const) {
      expect(() => { checkWire('int8', { ...MLP, kind }) }).to.throw('--wire auto').with.property('name', 'InvalidOptionError')
      expect(() => { checkWire('product', { ...MLP, kind }) }).to.throw('--wire auto').with.property('name', 'InvalidOptionError')
    }
  })

  it('is told in words of its own', () => {
    expect(new Set(WIRE_FORMS.map(describeWire)).size).to.equal(WIRE_FORMS.length)
  })
})
