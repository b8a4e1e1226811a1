import { expect } from 'chai'
import { checkWire, describeWire, layoutOf, WIRE_OPTIONS, wireFormOf } from '../../../src/node/trainer/wire-form.js'
import { mostBytes } from '../../../src/tensor/adaptation.js'
import { type AuxiliarySpec, WIRE_FORMS, type WireForm } from '../../../src/types.js'
import { SITES } from '../../gl/adaptation.js'
import { emptyBatch } from '../../support/batch.js'

const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }
const lowRank = (rank: number): AuxiliarySpec => ({ kind: 'low-rank', rank, alpha: 1 })

describe('the wire form of a trainer', () => {
  it('is the one that was asked for', () => {
    for (const form of WIRE_FORMS) expect(wireFormOf(form, lowRank(3), SITES, emptyBatch(2, 5))).to.equal(form)
  })

  it('is by default the exact one that is smallest', () => {
    const batch = emptyBatch(2, 5)
    for (const rank of [1, 2, 9, 10, 11, 100]) {
      const form = wireFormOf('auto', lowRank(rank), SITES, batch)
      const bytes = (other: WireForm): number => mostBytes(layoutOf({ wire: other, auxiliary: lowRank(rank) }, SITES, batch))
      expect(bytes(form)).to.equal(Math.min(bytes('f32'), bytes('factors')))
    }
    for (const tokens of [1, 1000]) expect(wireFormOf('auto', LINEAR, SITES, emptyBatch(1, tokens))).to.equal('f32')
  })

  it('is refused where auxiliaries have no factors', () => {
    expect(() => { checkWire('factors', LINEAR) }).to.throw('--wire auto').with.property('name', 'InvalidOptionError')
    for (const option of WIRE_OPTIONS) expect(() => { checkWire(option, lowRank(2)) }).to.not.throw()
    for (const option of ['auto', 'f32', 'bf16'] as const) expect(() => { checkWire(option, LINEAR) }).to.not.throw()
  })

  it('is told in words of its own', () => {
    expect(new Set(WIRE_FORMS.map(describeWire)).size).to.equal(WIRE_FORMS.length)
  })
})
