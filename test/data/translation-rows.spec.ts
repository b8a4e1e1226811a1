import { expect } from 'chai'
import { BatchSource } from '../../src/data/batches.js'
import { type Dataset, loadTexts } from '../../src/data/load.js'
import type { RowSet } from '../../src/data/row-set.js'
import { TranslationRowMaker } from '../../src/data/translation-rows.js'
import type { WholeTextOptions } from '../../src/data/whole-text.js'
import { tensorIn } from '../support/batch.js'
import { rejection, withFolder } from './folder.js'
import { BEGIN, BETWEEN, encodeWhole } from './whole-texts.js'

const PADDING = 9
const OPTIONS: WholeTextOptions = { encodeWhole, padding: PADDING, length: 8 }
const [A, B] = [97, 98]

function made (examples: ReadonlyArray<readonly [text: string, target: string]>, options: Partial<WholeTextOptions> = {}): { rows: RowSet, truncated: number, texts: string[] } {
  const maker = new TranslationRowMaker({ ...OPTIONS, ...options })
  const texts = examples.flatMap(([text, target]) => [...maker.add({ kind: 'translation', text, target, source: 'a.csv, line 2' })])
  return { rows: maker.finish(), truncated: maker.truncated, texts }
}

async function load (folder: string, heldOutShare: number): Promise<Dataset> {
  return await loadTexts({ paths: [folder], heldOutShare, task: 'SEQ_2_SEQ_LM' }, () => new TranslationRowMaker(OPTIONS))
}

describe('data: translation rows', () => {
  it('become tokens and labels, each filled up to the longest, labels with what counts for nothing', async () => {
    const { rows } = made([['ab', 'b'], ['', 'bab']])
    expect(await rows.batch([0, 1])).to.deep.equal({
      rows: 2,
      tensors: new Map([
        ['input_ids', { shape: [2, 4], values: Int32Array.of(BEGIN, A, B, BETWEEN, BEGIN, BETWEEN, PADDING, PADDING) }],
        ['attention_mask', { shape: [2, 4], values: Int32Array.of(1, 1, 1, 1, 1, 1, 0, 0) }],
        ['labels', { shape: [2, 5], values: Int32Array.of(BEGIN, B, BETWEEN, -100, -100, BEGIN, B, A, B, BETWEEN) }]
      ])
    })
    expect(tensorIn(await rows.batch([0]), 'labels')).to.deep.equal({ shape: [1, 3], values: Int32Array.of(BEGIN, B, BETWEEN) })
  })

  it('are as long as the longer of the two', () => {
    const { rows } = made([['ab', 'b'], ['', 'bab']])
    expect([rows.lengthOf(0), rows.lengthOf(1)]).to.deep.equal([4, 5])
  })

  it('are counted once where either was cut, and give their texts when they are tokenised', () => {
    const [fits, over] = ['a'.repeat(6), 'a'.repeat(7)]
    const { rows, truncated, texts } = made([[fits, fits], [over, fits], [fits, over], [over, over]])
    expect(truncated).to.equal(3)
    expect([0, 1, 2, 3].map(row => rows.lengthOf(row))).to.deep.equal([8, 8, 8, 8])
    expect(texts).to.deep.equal([fits + fits, over + fits, fits + over, over + over])
  })

  it('differ in content where either text does', () => {
    const { rows } = made([['a', 'b'], ['b', 'a'], ['ab', 'b'], ['a', 'bb']])
    const contents = [0, 1, 2, 3].map(row => JSON.stringify(rows.contentOf(row).map(values => [...values])))
    expect(new Set(contents).size).to.equal(4)
    expect(made([['a', 'b']]).rows.contentOf(0)).to.deep.equal(rows.contentOf(0))
  })

  it('are none of what is no pair of texts', () => {
    const maker = new TranslationRowMaker(OPTIONS)
    expect([...maker.add({ kind: 'text', parts: ['a'] })]).to.deep.equal([])
    expect(maker.finish().count).to.equal(0)
  })

  it('need a token on either side', () => {
    for (const [text, target, blamed] of [['', 'a', 'source'], ['a', '', 'target']]) {
      const plain = { encodeWhole: (part: string) => ({ ids: part === '' ? [] : [1], typeIds: [], truncated: false }) }
      expect(() => made([[text, target]], plain)).to.throw(new RegExp(`a\\.csv, line 2.*${blamed}`)).with.property('name', 'InvalidDataError')
    }
  })

  it('are on one side where they are the same, and go through batches', async () => {
    const rows = Array.from({ length: 60 }, (_, i) => JSON.stringify({ source: `${i % 30}`, target: 'x' }))
    await withFolder({ 'a.jsonl': rows.join('\n') }, async folder => {
      const { train, heldOut, documents } = await load(folder, 0.3)
      const contents = (side: RowSet): string[] => Array.from({ length: side.count }, (_, row) => String(side.contentOf(row)))
      expect([documents, train.count + heldOut.count]).to.deep.equal([60, 60])
      expect(heldOut.count).to.be.above(0)
      expect(contents(heldOut).filter(content => contents(train).includes(content))).to.deep.equal([])
      expect(tensorIn(await new BatchSource(train, { batchSize: 5, seed: 1 }).at(2), 'labels').shape).to.deep.equal([5, 3])
    })
  })

  it('must be there', async () => {
    await withFolder({ 'a.csv': 'source,target\n' }, async folder => {
      const error = await rejection(load(folder, 0))
      expect(error).to.have.property('name', 'InvalidDataError')
      expect(error!.message).to.include(folder).and.include('"target"')
    })
  })
})
