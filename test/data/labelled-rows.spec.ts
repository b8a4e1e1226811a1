import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { BatchSource, heldOutBatches } from '../../src/data/batches.js'
import { type LabelledOptions, LabelledRowMaker } from '../../src/data/labelled-rows.js'
import { type Dataset, type LoadOptions, loadTexts } from '../../src/data/load.js'
import type { RowSet } from '../../src/data/row-set.js'
import type { Example } from '../../src/data/split.js'
import { createTokenizer } from '../../src/model/tokenizer.js'
import { tensorIn } from '../support/batch.js'
import { FIXTURES } from '../support/fixtures.js'
import { rejection, withFolder } from './folder.js'
import { BEGIN, BETWEEN, encodeWhole } from './whole-texts.js'

const PADDING = 9
const LABELS = ['bad', 'good']
const OPTIONS: LabelledOptions = { encodeWhole, padding: PADDING, length: 16, labels: LABELS }
const [A, B] = [97, 98]

type Given = Partial<Omit<Extract<Example, { kind: 'labelled' }>, 'kind'>>
const example = ({ text = 'a', textPair, label = 'bad' }: Given): Example => ({ kind: 'labelled', text, textPair, label, source: 'a.csv, line 2' })

function made (examples: readonly Given[], options: Partial<LabelledOptions> = {}): { rows: RowSet, truncated: number, texts: string[] } {
  const maker = new LabelledRowMaker({ ...OPTIONS, ...options })
  const texts = examples.flatMap(given => [...maker.add(example(given))])
  return { rows: maker.finish(), truncated: maker.truncated, texts }
}

async function load (options: Pick<LoadOptions, 'paths' | 'heldOutShare'>, labels = LABELS): Promise<Dataset> {
  return await loadTexts({ ...options, task: 'SEQ_CLS' }, () => new LabelledRowMaker({ ...OPTIONS, labels }))
}

const textOf = (rows: RowSet, row: number): string => String.fromCodePoint(...[...rows.contentOf(row)[0] as Int32Array].filter(id => id !== BEGIN && id !== BETWEEN))
const textsOf = (rows: RowSet): string[] => Array.from({ length: rows.count }, (_, row) => textOf(rows, row))

describe('data: labelled rows', () => {
  it('become tokens, filled up with what the tokenizer fills up with, and labels', async () => {
    const { rows } = made([{ text: 'ab', label: 'good' }, { text: '', label: 0 }, { text: 'a', label: '1' }])
    const batch = await rows.batch([0, 1, 2])
    expect(batch).to.deep.equal({
      rows: 3,
      tensors: new Map([
        ['input_ids', { shape: [3, 4], values: Int32Array.of(BEGIN, A, B, BETWEEN, BEGIN, BETWEEN, PADDING, PADDING, BEGIN, A, BETWEEN, PADDING) }],
        ['attention_mask', { shape: [3, 4], values: Int32Array.of(1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 0) }],
        ['labels', { shape: [3], values: Int32Array.of(1, 0, 1) }]
      ])
    })
  })

  it('say of which text a token is only where there are two', async () => {
    const { rows } = made([{ text: 'a', textPair: 'b' }, { text: 'ab' }])
    const both = await rows.batch([1, 0])
    expect(tensorIn(both, 'token_type_ids')).to.deep.equal({ shape: [2, 5], values: Int32Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 1) })
    expect(tensorIn(both, 'input_ids').values).to.deep.equal(Int32Array.of(BEGIN, A, B, BETWEEN, PADDING, BEGIN, A, BETWEEN, B, BETWEEN))
    expect([...(await rows.batch([1])).tensors.keys()]).to.deep.equal(['input_ids', 'attention_mask', 'labels'])
  })

  it('have numbers for labels where the model gives one', async () => {
    const { rows } = made([{ label: 2.5 }, { label: '-0.5' }, { label: 3 }], { labels: [] })
    expect(tensorIn(await rows.batch([2, 0, 1]), 'labels')).to.deep.equal({ shape: [3], values: Float32Array.of(3, 2.5, -0.5) })
  })

  it('are counted where they were cut, and give their texts when they are tokenised', () => {
    const { rows, truncated, texts } = made([{ text: 'a'.repeat(14) }, { text: 'a'.repeat(15) }, { text: 'a'.repeat(10), textPair: 'b'.repeat(4) }])
    expect(truncated).to.equal(2)
    expect([0, 1, 2].map(row => rows.lengthOf(row))).to.deep.equal([16, 16, 16])
    expect(texts).to.deep.equal(['a'.repeat(14), 'a'.repeat(15), 'a'.repeat(10) + 'b'.repeat(4)])
  })

  it('differ in content where anything about them does', () => {
    const givens = [{}, { label: 'good' }, { text: 'b' }, { textPair: '' }, { textPair: 'a' }, { text: 'aa' }]
    const { rows } = made(givens)
    const contents = givens.map((_, row) => JSON.stringify(rows.contentOf(row).map(values => [...values])))
    expect(new Set(contents).size).to.equal(givens.length)
    expect(made([{ label: 'good' }]).rows.contentOf(0)).to.deep.equal(made([{ label: 1 }]).rows.contentOf(0))
    const numbers = made([{ label: 0.5 }, { label: 0.25 }], { labels: [] }).rows
    expect(numbers.contentOf(0)).to.not.deep.equal(numbers.contentOf(1))
  })

  it('are none of what is no labelled text', () => {
    const maker = new LabelledRowMaker(OPTIONS)
    expect([...maker.add({ kind: 'text', parts: ['a'] })]).to.deep.equal([])
    expect(maker.finish().count).to.equal(0)
  })

  it('need a token', () => {
    const nothing = { encodeWhole: () => ({ ids: [], typeIds: [], truncated: false }) }
    expect(() => made([{ text: '' }], nothing)).to.throw(/a\.csv, line 2/).with.property('name', 'InvalidDataError')
  })

  it('are what a tokenizer makes of them', async () => {
    const [json, config] = await Promise.all(['tokenizer.json', 'tokenizer_config.json'].map(async name => await readFile(join(FIXTURES, 'tokenizers', 'roberta', name), 'utf8')))
    const tokenizer = createTokenizer(json, config)
    const { rows } = made([{ text: 'Hello world', textPair: 'x' }, { text: '' }], { encodeWhole: (...args) => tokenizer.encodeWhole(...args), padding: tokenizer.padding! })
    const batch = await rows.batch([0, 1])
    const ids = tensorIn(batch, 'input_ids')
    expect(ids.values.subarray(0, ids.shape[1])).to.deep.equal(Int32Array.from(tokenizer.encodeWhole('Hello world', 'x', 16).ids))
    expect([...ids.values.subarray(ids.shape[1])]).to.deep.equal([0, 2, ...Array.from({ length: ids.shape[1] - 2 }, () => 1)]) // <s></s>, then <pad>
    expect(batch.tensors.has('token_type_ids')).to.be.false
  })

  describe('from files', () => {
    it('are the same of .csv and .jsonl', async () => {
      const given = Array.from({ length: 30 }, (_, i) => ({ text: `text ${i}`, text_pair: i % 3 === 0 ? `${i}` : '', label: LABELS[i % 2] }))
      const csv = ['text,text_pair,label', ...given.map(({ text, text_pair: pair, label }) => `${text},${pair},${label}`)].join('\n')
      await withFolder({ 'a.csv': csv, 'a.jsonl': given.map(row => JSON.stringify({ ...row, label: LABELS.indexOf(row.label) })).join('\n') }, async folder => {
        const [one, other] = [await load({ paths: [join(folder, 'a.csv')] }), await load({ paths: [join(folder, 'a.jsonl')] })]
        const contents = ({ train, heldOut }: Dataset): unknown => [train, heldOut].map(rows => Array.from({ length: rows.count }, (_, row) => rows.contentOf(row)))
        expect(contents(one)).to.deep.equal(contents(other))
        expect(one).to.include({ documents: 30, truncated: 0 })
        expect(one.train.count + one.heldOut.count).to.equal(30)
      })
    })

    it('are on one side where they are the same texts, whatever their labels', async () => {
      const rows = Array.from({ length: 60 }, (_, i) => JSON.stringify({ text: `text ${i % 30}`, label: i < 30 ? 'bad' : 'good' }))
      await withFolder({ 'a.jsonl': rows.join('\n') }, async folder => {
        const { train, heldOut } = await load({ paths: [folder], heldOutShare: 0.3 })
        expect(train.count + heldOut.count).to.equal(60)
        expect(heldOut.count).to.be.above(0)
        expect(textsOf(heldOut).filter(text => textsOf(train).includes(text))).to.deep.equal([])
      })
    })

    it('make batches to train on and to evaluate', async () => {
      const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ text: 'a'.repeat(i % 10), label: i % 2 }))
      await withFolder({ 'a.jsonl': rows.join('\n') }, async folder => {
        const { train, heldOut } = await load({ paths: [folder], heldOutShare: 0.3 })
        const batch = await new BatchSource(train, { batchSize: 4, seed: 1, groupByLength: true }).at(3)
        expect(tensorIn(batch, 'labels').shape).to.deep.equal([4])
        expect((await heldOutBatches(heldOut, heldOut.count).at(0)).rows).to.equal(heldOut.count)
      })
    })

    it('name file and line of a label that the model has not, and list those it has', async () => {
      await withFolder({ 'a.csv': 'text,label\nx,good\ny,better\n' }, async folder => {
        const error = await rejection(load({ paths: [folder] }))
        expect(error).to.have.property('name', 'InvalidDataError')
        for (const part of ['a.csv, line 3', '"better"', 'bad, good']) expect(error!.message).to.include(part)
        expect((await rejection(load({ paths: [folder] }, [])))!.message).to.include('a.csv, line').and.include('number')
      })
    })

    it('must be there', async () => {
      await withFolder({ 'a.csv': 'text,label\n' }, async folder => {
        const error = await rejection(load({ paths: [folder] }))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include(folder).and.include('"label"')
      })
    })
  })
})
