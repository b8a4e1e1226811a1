import { expect } from 'chai'
import { suggest } from '../../src/cli/suggest.js'

describe('suggest', () => {
  const known = ['host', 'train', 'node', 'step', 'simulate']

  it('knows a word with a letter wrong, missing, or too many', () => {
    expect(suggest('hosr', known)).to.equal('host')
    expect(suggest('trai', known)).to.equal('train')
    expect(suggest('simmulate', known)).to.equal('simulate')
  })

  it('gives the nearest', () => {
    expect(suggest('nod', ['nodes', 'node'])).to.equal('node')
  })

  it('says nothing where no word is near', () => {
    expect(suggest('frobnicate', known)).to.equal(undefined)
    expect(suggest('', known)).to.equal(undefined)
    expect(suggest('x', [])).to.equal(undefined)
  })
})
