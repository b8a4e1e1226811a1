import { expect } from 'chai'
import { plotLosses, smooth } from '../../../src/cli/simulate/plot.js'
import type { Mode } from '../../../src/types.js'

describe('plotLosses', () => {
  const losses = Array.from({ length: 40 }, (_, i) => 4 - i / 40)
  const curves = (['alone', 'collaboration'] satisfies Mode[]).flatMap(mode =>
    ['declarations', 'readmes', 'licences'].map(trainer => ({ trainer, mode, losses })))

  it('draws every curve raw and smoothed, with axes and a legend', () => {
    const svg = plotLosses(curves)
    expect(svg).to.match(/^<svg /).and.match(/<\/svg>\s*$/)
    for (const { trainer, mode } of curves) expect(svg).to.include(`${trainer}, ${mode}`)
    for (const label of ['step', 'loss (nats per token)', 'Training loss']) expect(svg).to.include(label)
    expect(svg.match(/stroke-opacity="0.2"/g)).to.have.length(curves.length)
    expect(svg.match(/stroke-width="2" stroke-dasharray|stroke-dasharray="[^"]+" stroke-width="2"/g)).to.have.length.at.least(3)
  })

  it('draws a run of one step, and none at all', () => {
    expect(plotLosses([{ trainer: 'a', mode: 'joint', losses: [3] }])).to.include('a, joint')
    expect(plotLosses([])).to.match(/^<svg /)
  })
})

describe('smooth', () => {
  it('leaves equals and lines as they are, but for the ends', () => {
    expect(smooth([2, 2, 2])).to.deep.equal([2, 2, 2])
    const line = Array.from({ length: 40 }, (_, i) => i)
    expect(smooth(line).slice(2, -2)).to.deep.equal(line.slice(2, -2))
    expect(smooth([])).to.deep.equal([])
  })
})
