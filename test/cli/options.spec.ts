import { expect } from 'chai'
import { checkOptions, flag, type Option, outline } from '../../src/cli/options.js'

function check (option: Option, typed: unknown): unknown {
  return checkOptions({ theOption: option }, { theOption: typed }).theOption
}

const meaning = { describe: 'what it means' }

describe('options', () => {
  it('turns what was typed into values', () => {
    expect(check({ type: 'string', ...meaning }, 'a b')).to.equal('a b')
    expect(check({ type: 'number', ...meaning }, '-1e-3')).to.equal(-1e-3)
    expect(check({ type: 'integer', ...meaning }, '0x10')).to.equal(16)
    expect(check({ type: 'boolean', ...meaning }, false)).to.equal(false)
    expect(check({ type: 'choice', choices: ['a', 'b'], ...meaning }, 'b')).to.equal('b')
    expect(check({ type: 'list', ...meaning }, 'a, b')).to.deep.equal(['a', 'b'])
    expect(check({ type: 'list', ...meaning }, ['a,b', 'c'])).to.deep.equal(['a', 'b', 'c'])
    expect(check({ type: 'files', ...meaning }, ['a,b', 'c'])).to.deep.equal(['a,b', 'c'])
  })

  it('fills in defaults; what has none is undefined, but a flag is false', () => {
    expect(check({ type: 'integer', default: 3, ...meaning }, undefined)).to.equal(3)
    expect(check({ type: 'boolean', default: true, ...meaning }, undefined)).to.equal(true)
    expect(check({ type: 'boolean', ...meaning }, undefined)).to.equal(false)
    expect(check({ type: 'list', ...meaning }, undefined)).to.equal(undefined)
  })

  const refused: ReadonlyArray<readonly [Option, unknown]> = [
    [{ type: 'string', required: true, ...meaning }, undefined],
    [{ type: 'string', ...meaning }, ''],
    [{ type: 'string', ...meaning }, ['a', 'b']],
    [{ type: 'number', ...meaning }, 'x'],
    [{ type: 'number', ...meaning }, ''],
    [{ type: 'number', ...meaning }, ' '],
    [{ type: 'number', ...meaning }, 'NaN'],
    [{ type: 'number', ...meaning }, 'Infinity'],
    [{ type: 'number', above: 0, ...meaning }, '0'],
    [{ type: 'number', max: 1, ...meaning }, '1.01'],
    [{ type: 'integer', ...meaning }, '1.5'],
    [{ type: 'integer', ...meaning }, '9007199254740993'],
    [{ type: 'integer', min: 1, ...meaning }, '0'],
    [{ type: 'boolean', ...meaning }, [true, true]],
    [{ type: 'choice', choices: ['a'], ...meaning }, 'A'],
    [{ type: 'list', ...meaning }, 'a,,b'],
    [{ type: 'files', ...meaning }, ['']]
  ]
  for (const [option, typed] of refused) {
    it(`refuses ${JSON.stringify(typed)} for ${option.type}, by the option's name`, () => {
      expect(() => check(option, typed)).to.throw('--the-option').with.property('name', 'InvalidOptionError')
    })
  }

  it('says for the help what is accepted', () => {
    expect(outline({ type: 'integer', min: 1, max: 8, required: true, ...meaning })).to.equal(' [integer from 1 to 8, required]')
    expect(outline({ type: 'number', above: 0, ...meaning })).to.equal(' [number above 0]')
    expect(outline({ type: 'choice', choices: ['a', 'b'], ...meaning })).to.equal(' [a | b]')
    expect(outline({ type: 'boolean', ...meaning })).to.equal('')
  })

  it('writes names as they are typed', () => {
    expect(flag('batchSize')).to.equal('--batch-size')
    expect(flag('x')).to.equal('-x')
  })
})
