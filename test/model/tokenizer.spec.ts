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

  describe('of texts that a model takes whole', () => {
    const bert = async (json: object = {}, config: object = {}): Promise<Tokenizer> => {
      const [tokenizer, own] = await Promise.all(['tokenizer.json', 'tokenizer_config.json'].map(async name => await readJson('tokenizers', 'bert-uncased', name) as object))
      return createTokenizer(JSON.stringify({ ...tokenizer, ...json }), JSON.stringify({ ...own, ...config }))
    }

    it('leaves out a second text that is empty', async () => {
      const tokenizer = await bert()
      expect(tokenizer.encodeWhole('a', '', 9)).to.deep.equal(tokenizer.encodeWhole('a', undefined, 9))
      expect(tokenizer.encodeWhole('a', '', 3).truncated).to.be.false
    })

    it('cuts where tokenizer.json says, unless tokenizer_config.json says otherwise', async () => {
      const [left, right] = ['Left', 'Right'].map(direction => ({ truncation: { direction, max_length: 512, strategy: 'LongestFirst', stride: 0 } }))
      const plain = await bert()
      const [a, b] = [plain.encode('a'), plain.encode('b')]
      const kept = (tokenizer: Tokenizer): number[] => tokenizer.encodeWhole('a b', undefined, 3).ids.slice(1, -1)
      expect([kept(plain), kept(await bert(left)), kept(await bert(right))]).to.deep.equal([a, b, a])
      expect([kept(await bert(left, { truncation_side: 'right' })), kept(await bert({}, { truncation_side: 'left' }))]).to.deep.equal([a, b])
    })

    it('cuts the longer of two first, then both, and leaves one more of the longer', async () => {
      const tokenizer = await bert({ post_processor: null })
      const kept = (first: number, second: number, length: number): number[] => {
        const { typeIds } = tokenizer.encodeWhole('a '.repeat(first), 'b '.repeat(second), length)
        return [0, 1].map(kind => typeIds.filter(type => type === kind).length)
      }
      expect([9, 8, 7, 6, 5, 1].map(length => kept(3, 6, length))).to.deep.equal([[3, 6], [3, 5], [3, 4], [3, 3], [2, 3], [0, 1]])
      expect([9, 8, 7, 6, 5, 1].map(length => kept(6, 3, length))).to.deep.equal([[6, 3], [5, 3], [4, 3], [3, 3], [3, 2], [1, 0]])
      expect([8, 7, 1].map(length => kept(4, 4, length))).to.deep.equal([[4, 4], [3, 4], [0, 1]])
      expect(kept(0, 6, 4)).to.deep.equal([0, 4])
    })

    it('tells two texts apart where nothing stands around them', async () => {
      const tokenizer = await bert({ post_processor: null })
      expect(tokenizer.encodeWhole('a b', 'a', 9)).to.deep.equal({ ids: [...tokenizer.encode('a b'), ...tokenizer.encode('a')], typeIds: [0, 0, 1], truncated: false })
    })

    it('takes what stands around texts in any of its forms', async () => {
      const ends = { cls: ['[CLS]', 2], sep: ['[SEP]', 3] }
      const whole = (tokenizer: Tokenizer): unknown => ['', 'b'].map(pair => tokenizer.encodeWhole('a', pair, 9))
      expect(whole(await bert({ post_processor: { type: 'BertProcessing', ...ends } }))).to.deep.equal(whole(await bert()))
      const roberta = { type: 'RobertaProcessing', ...ends, trim_offsets: true, add_prefix_space: true }
      const nested = { type: 'Sequence', processors: [{ type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true }, roberta] }
      for (const processor of [roberta, nested]) {
        const tokenizer = await bert({ post_processor: processor })
        expect(tokenizer.encodeWhole('a', 'b', 9)).to.deep.equal({
          ids: [2, ...tokenizer.encode('a'), 3, 3, ...tokenizer.encode('b'), 3], typeIds: [0, 0, 0, 0, 0, 0], truncated: false
        })
      }
    })

    it('refuses lengths without room for a token of a text', async () => {
      const tokenizer = await bert()
      for (const length of [2, 0, -1, NaN]) expect(() => tokenizer.encodeWhole('a', undefined, length)).to.throw().with.property('name', 'InvalidOptionError')
      expect(() => tokenizer.encodeWhole('a', 'b', 3)).to.throw().with.property('name', 'InvalidOptionError')
      expect(tokenizer.encodeWhole('a', undefined, 3).ids).to.have.length(3)
      expect(tokenizer.encodeWhole('a', 'b', 4).ids).to.have.length(4)
    })

    it('refuses special tokens that are none', async () => {
      const piece = { SpecialToken: { id: '[NONE]', type_id: 0 } }
      const tokenizer = await bert({ post_processor: { type: 'TemplateProcessing', single: [piece], pair: [piece], special_tokens: {} } })
      expect(() => tokenizer.encodeWhole('a', undefined, 9)).to.throw().with.property('name', 'InvalidModelError')
    })

    it('says what fills rows up, where something does', async () => {
      expect((await bert()).padding).to.equal(0)
      expect((await bert({}, { pad_token: { content: '[SEP]' } })).padding).to.equal((await bert()).encodeWhole('', undefined, 9).ids[1])
      expect((await bert({}, { pad_token: null, eos_token: null }))).to.include({ padding: undefined, endOfText: undefined })
    })
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
