import { expect } from 'chai'
import { dequantize, NF4_VALUES, QUANTIZATIONS, quantize } from '../../src/tensor/quantize.js'
import type { NamedTensors } from '../../src/types.js'
import { readJson, readTensors } from '../support/fixtures.js'

describe('tensor: values in 8 and 4 bits', () => {
  let cases: NamedTensors
  before(async () => { cases = await readTensors('quantized', 'cases.safetensors') })

  const names = (): string[] => [...new Set([...cases.keys()].map(name => name.split('.')[0]))]
  const valuesOf = (name: string): Float32Array => cases.get(name)!.values as Float32Array

  for (const kind of QUANTIZATIONS) {
    it(`are those that the formulas give in numpy, to the bit, ${kind}`, () => {
      expect(names()).to.have.lengthOf.above(10)
      for (const name of names()) {
        const { codes, scales } = quantize(kind, valuesOf(`${name}.values`))
        expect([...codes], `codes of ${name}`).to.deep.equal([...cases.get(`${name}.${kind}.codes`)!.values])
        expect([...scales], `scales of ${name}`).to.deep.equal([...valuesOf(`${name}.${kind}.scales`)])
        const values = dequantize(kind, { codes, scales }, valuesOf(`${name}.values`).length)
        expect([...values.map(value => value + 0)], name).to.deep.equal([...valuesOf(`${name}.${kind}.values`).map(value => value + 0)])
      }
    })

    it(`stay where they are once they are on the grid, ${kind}`, () => {
      const first = quantize(kind, valuesOf('rows_across_blocks.values'))
      const values = dequantize(kind, first, 600)
      expect(quantize(kind, values).codes).to.deep.equal(first.codes)
    })

    it(`may be none, ${kind}`, () => {
      const none = quantize(kind, new Float32Array(0))
      expect([none.codes.length, none.scales.length, dequantize(kind, none, 0).length]).to.deep.equal([0, 0, 0])
    })
  }

  it('move by half a step at most, int8', () => {
    const values = valuesOf('heavy_tails.values')
    const { codes, scales } = quantize('int8', values)
    const moved = dequantize('int8', { codes, scales }, values.length)
    for (let i = 0; i < values.length; i++) expect(Math.abs(moved[i] - values[i])).to.be.at.most(scales[Math.floor(i / 64)] * 0.50001)
  })

  it('are told apart by the 16 values of QLoRA, which keep zero and the largest of a block as they are, nf4', async () => {
    expect([...NF4_VALUES]).to.deep.equal(await readJson('quantized', 'nf4.json'))
    const values = Float32Array.of(0, -3.25, 1, ...new Array<number>(61).fill(0), 7)
    const moved = dequantize('nf4', quantize('nf4', values), 65)
    expect([moved[0], moved[1], moved[63], moved[64]]).to.deep.equal([0, -3.25, 0, 7])
  })
})
