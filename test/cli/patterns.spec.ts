import { expect } from 'chai'
import { patternsOf } from '../../src/cli/patterns.js'

describe('patterns on the command line', () => {
  it('are numbers by name, in their order', () => {
    const patterns = patternsOf('--rank-pattern', ['c_attn=16', ' mlp.c_proj = 4 ', 'h\\.[01]\\..*=2.5', 'a=b=1e-3'])
    expect(Object.entries(patterns)).to.deep.equal([['c_attn', 16], ['mlp.c_proj', 4], ['h\\.[01]\\..*', 2.5], ['a=b', 1e-3]])
    expect(patternsOf('--rank-pattern', [])).to.deep.equal({})
  })

  for (const item of ['', 'c_attn', '=16', 'c_attn=', 'c_attn= ', 'c_attn=x', 'c_attn=16a', 'c_attn=NaN', 'c_attn=Infinity']) {
    it(`are refused where an item is ${JSON.stringify(item)}`, () => {
      expect(() => patternsOf('--rank-pattern', ['c_proj=2', item])).to.throw(`--rank-pattern ${item} is`).with.property('name', 'InvalidOptionError')
    })
  }
})
