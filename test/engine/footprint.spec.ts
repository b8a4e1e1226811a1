import { expect } from 'chai'
import { footprint } from '../../src/engine/onnx/footprint.js'
import type { Node } from '../../src/engine/onnx/format.js'

function node (op: string, inputs: string[], outputs: string[]): Node {
  return { op, inputs, outputs, attributes: {} }
}

describe('engine: what a run takes', () => {
  const bytes = new Map([['a', 100], ['b', 10], ['c', 1], ['d', 1000]])

  it('is the most that lives at one moment', () => {
    const nodes = [node('Exp', ['x'], ['a']), node('Exp', ['a'], ['b']), node('Exp', ['b'], ['c']), node('Exp', ['c'], ['d'])]
    expect(footprint(nodes, new Set(['d']), bytes)).to.equal(1001) // a and b are gone
    expect(footprint(nodes, new Set(['a', 'd']), bytes)).to.equal(1101)
  })

  it('counts what is kept for the backward pass until then', () => {
    const nodes = [node('Exp', ['x'], ['a']), node('Exp', ['a'], ['b']), node('Exp', ['b'], ['c']), node('Mul', ['c', 'a'], ['d'])]
    expect(footprint(nodes, new Set(['d']), bytes)).to.equal(1101)
  })

  it('counts a tensor once, whatever shapes it is given', () => {
    const nodes = [node('Exp', ['x'], ['a']), node('Reshape', ['a', 'shape'], ['d']), node('Reshape', ['d', 'shape'], ['e']), node('Exp', ['e'], ['b'])]
    expect(footprint(nodes, new Set(['b']), bytes)).to.equal(110)
  })

  it('counts neither inputs nor weights, and results that nobody takes only while they are made', () => {
    const nodes = [node('Split', ['x'], ['a', 'b']), node('Exp', ['b'], ['c'])]
    expect(footprint(nodes, new Set(['c']), bytes)).to.equal(110)
    expect(footprint([], new Set(['x']), bytes)).to.equal(0)
  })
})
