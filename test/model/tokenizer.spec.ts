import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createTokenizer, loadTokenizer, type Tokenizer } from '../../src/model/tokenizer.js'
import { readJson } from '../support/fixtures.js'

const TINY = join(import.meta.dirname, '..', '..', 'models', 'tiny')

describe('model: tokenizer', () => {
  let tiny: Tokenizer

  before(async () => {
    tiny = await loadTokenizer(TINY)
  })

  it('encodes as the model was trained, and decodes to the same text', async () => {
    for (const { text, ids } of await readJson('tokenizer-tiny.json') as Array<{ text: string, ids: number[] }>) {
      expect(tiny.encode(text), JSON.stringify(text)).to.deep.equal(ids)
      expect(tiny.decode(ids)).to.equal(text)
    }
  })

  it('says what ends a text, and leaves it out where asked to', () => {
    const ids = tiny.encode('ab<|endoftext|>')
    expect(ids.at(-1)).to.equal(tiny.endOfText)
    expect(tiny.decode(ids, { skipSpecialTokens: true })).to.equal('ab')
  })

  it('decodes nothing, and ids that it has not, to nothing', () => {
    expect(tiny.decode([])).to.equal('')
    expect(tiny.decode([1e6, -1, ...tiny.encode('a'), 0.5])).to.equal('a')
  })

  it('refuses what describes no tokenizer', async () => {
    const json = JSON.parse(await readFile(join(TINY, 'tokenizer.json'), 'utf8')) as object
    const precompiled = (charsmap: string): string => JSON.stringify({ ...json, normalizer: { type: 'Precompiled', precompiled_charsmap: charsmap } })
    const sizes = Buffer.alloc(12)
    sizes.writeUInt32LE(0xfffffffc)
    for (const text of ['', '{}', '[]', JSON.stringify({ ...json, decoder: { type: 'Unheard' } }), precompiled(''), precompiled(sizes.toString('base64'))]) {
      expect(() => createTokenizer(text), text.slice(0, 40)).to.throw().with.property('name', 'InvalidModelError')
    }
  })
})
