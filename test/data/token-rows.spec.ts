import { expect } from 'chai'
import type { EncodedRow } from '../../src/data/rows.js'
import { TokenRowMaker, tokenRows } from '../../src/data/token-rows.js'
import { tensorIn } from '../support/batch.js'
import { encodedRows } from './encoded-rows.js'

const END = 99
const OPTIONS = { encode: (text: string) => Array.from(text, Number), endOfText: END, length: 4 }

function row (ids: number[], begin = 0, end = ids.length): EncodedRow {
  return { ids: Int32Array.from(ids), spans: [{ begin, end }] }
}

describe('data: token rows', () => {
  it('are made of texts, completions and conversations, and give each text when it is tokenised', () => {
    const maker = new TokenRowMaker({ ...OPTIONS, render: (messages, open) => messages.map(({ content }) => content).join('') + (open ? '0' : '') })
    const texts = [
      ...maker.add({ kind: 'text', parts: ['12', '3'] }),
      ...maker.add({ kind: 'completion', prompt: '4', completion: '5', source: '' }),
      ...maker.add({ kind: 'conversation', messages: [{ role: 'user', content: '6' }, { role: 'assistant', content: '07' }], source: '' })
    ]
    expect(texts).to.deep.equal(['12', '3', '45', '607'])
    expect(encodedRows(maker.finish())).to.deep.equal([row([1, 2, 3, END]), row([4, 5, END], 1), row([6, 0, 7], 2)])
    expect(maker.truncated).to.equal(0)
  })

  it('are none of what a model is not to continue', () => {
    const maker = new TokenRowMaker(OPTIONS)
    expect([...maker.add({ kind: 'labelled', text: '12', textPair: undefined, label: 1, source: '' })]).to.deep.equal([])
    expect([...maker.add({ kind: 'translation', text: '12', target: '34', source: '' })]).to.deep.equal([])
    expect(maker.finish().count).to.equal(0)
  })

  it('come in any order, also several times', async () => {
    const rows = tokenRows([row([1, 2]), row([3, 4, 5])], END)
    expect([rows.count, rows.lengthOf(0), rows.lengthOf(1)]).to.deep.equal([2, 2, 3])
    const { values, shape } = tensorIn(await rows.batch([1, 0, 1]), 'input_ids')
    expect([shape, [...values]]).to.deep.equal([[3, 3], [3, 4, 5, 1, 2, END, 3, 4, 5]])
  })

  it('differ in content where tokens do, or which of them carry loss', () => {
    const all = [row([1, 2, 3]), row([1, 2, 4]), row([1, 2]), row([1, 2, 3], 1), row([1, 2, 3], 0, 2)]
    const rows = tokenRows(all, END)
    const contents = all.map((_, i) => JSON.stringify(rows.contentOf(i).map(values => [...values])))
    expect(new Set(contents).size).to.equal(all.length)
    expect(tokenRows(all, undefined).contentOf(3)).to.deep.equal(rows.contentOf(3))
  })
})
