import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createTokenizer, type Tokenizer } from '../../src/model/tokenizer.js'
import { FIXTURES, readJson } from '../support/fixtures.js'

/** Of scripts/fixtures_tokenizers.py. */
interface Expected {
  before: number[]
  after: number[]
  cases: Case[]
  lists: Case[]
  wholes: Whole[]
}

/** Texts that are absent equal the string. */
interface Case {
  ids: number[]
  text?: string
  skipped?: string
}

/** A text, or two, cut to a length. */
interface Whole {
  text: string
  pair?: string
  length: number
  ids: number[]
  /** Where they are not all 0. */
  types?: number[]
}

const KINDS = ['gpt2', 'qwen2', 'llama3', 'llama2', 'mistral', 'bert-uncased', 'bert-cased', 't5', 't5-nfkc', 'roberta']

/**
 * Where we differ from Python, why, and in how many strings. Python's `tokenizers` has tables of characters of different ages, all
 * older than JavaScript's; what has come to Unicode since then, or has changed, is something else to it.
 */
const KNOWN: Partial<Record<string, Array<{ reason: string, concerns: RegExp, count: number }>>> = {
  'bert-uncased': [
    { reason: 'non-spacing marks since Unicode 8 are not stripped, and U+1734 is', concerns: /[\u08d4\u09fe\u0d3b\u1734\u180f\u{10d6a}]/u, count: 5 },
    { reason: 'format characters since Unicode 8 are not removed', concerns: /[\u08e2\u{13430}]/u, count: 3 },
    { reason: 'punctuation since Unicode 8 does not stand alone, and U+166D does', concerns: /[\u061d\u166d\u2e52]/u, count: 4 }
  ],
  'bert-cased': [
    { reason: 'format characters since Unicode 8 are not removed', concerns: /[\u08e2\u{13430}]/u, count: 3 },
    { reason: 'punctuation since Unicode 8 does not stand alone, and U+166D does', concerns: /[\u061d\u166d\u2e52]/u, count: 4 }
  ],
  't5-nfkc': [
    { reason: 'characters since Unicode 12 have no compatibility decomposition', concerns: /[\u32ff\u{1e030}]/u, count: 2 }
  ]
}

async function tokenizerOf (kind: string): Promise<Tokenizer> {
  const [json, config] = await Promise.all(['tokenizer.json', 'tokenizer_config.json'].map(async name =>
    await readFile(join(FIXTURES, 'tokenizers', kind, name), 'utf8')))
  return createTokenizer(json, config)
}

function results (tokenizer: Tokenizer, string: string, ids: number[]): unknown {
  return {
    ids: tokenizer.encode(string),
    withSpecial: tokenizer.encode(string, { addSpecialTokens: true }),
    text: tokenizer.decode(ids),
    skipped: tokenizer.decode(ids, { skipSpecialTokens: true })
  }
}

describe('model: tokenizers as Python has them', () => {
  let strings: string[]

  before(async () => {
    strings = await readJson('tokenizers', 'strings.json') as string[]
    expect(strings).to.have.length(500)
  })

  for (const kind of KINDS) {
    it(`encodes and decodes as ${kind} does`, async () => {
      const tokenizer = await tokenizerOf(kind)
      const { before, after, cases } = await readJson('tokenizers', kind, 'expected.json') as Expected
      expect(cases).to.have.length(strings.length)
      const known = (KNOWN[kind] ?? []).map(difference => ({ ...difference, found: 0 }))
      for (const [i, string] of strings.entries()) {
        const { ids, text = string, skipped = string } = cases[i]
        const withSpecial = [...before, ...ids, ...after]
        const ours = results(tokenizer, string, withSpecial)
        const theirs = { ids, withSpecial, text, skipped }
        if (JSON.stringify(ours) === JSON.stringify(theirs)) continue
        const difference = known.find(({ concerns }) => concerns.test(string))
        if (difference === undefined) expect(ours, JSON.stringify(string)).to.deep.equal(theirs)
        else difference.found++
      }
      expect(known.map(({ reason, found }) => ({ reason, found }))).to.deep.equal(known.map(({ reason, count }) => ({ reason, found: count })))
    })

    it(`decodes any ids as ${kind} does`, async () => {
      const tokenizer = await tokenizerOf(kind)
      const { lists } = await readJson('tokenizers', kind, 'expected.json') as Expected
      for (const { ids, text, skipped } of lists) {
        expect(tokenizer.decode(ids), JSON.stringify(ids)).to.equal(text)
        expect(tokenizer.decode(ids, { skipSpecialTokens: true }), JSON.stringify(ids)).to.equal(skipped)
      }
    })

    it(`cuts a text, or two, as ${kind} does`, async () => {
      const tokenizer = await tokenizerOf(kind)
      const { wholes } = await readJson('tokenizers', kind, 'expected.json') as Expected
      expect(wholes).to.have.length.above(100)
      for (const { text, pair, length, ids, types = ids.map(() => 0) } of wholes) {
        const truncated = ids.length < tokenizer.encodeWhole(text, pair, 1000).ids.length
        expect(tokenizer.encodeWhole(text, pair, length), JSON.stringify({ text, pair, length })).to.deep.equal({ ids, typeIds: types, truncated })
      }
    })
  }
})
