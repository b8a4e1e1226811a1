import { expect } from 'chai'
import { type EncodedRow, RowMaker } from '../../src/data/rows.js'

const END = 999
/** One token a digit. */
const encode = (text: string): number[] => Array.from(text, Number)

function maker (length: number): RowMaker {
  return new RowMaker({ encode, endOfText: END, length })
}

function shown (rows: readonly EncodedRow[]): Array<{ ids: number[], promptLength: number }> {
  return rows.map(({ ids, promptLength }) => ({ ids: [...ids], promptLength }))
}

function completionRow (prompt: string, completion: string, length: number, endOfText?: number): unknown {
  const made = new RowMaker({ encode, endOfText, length })
  made.addCompletion(prompt, completion)
  return { rows: shown(made.finish()), truncated: made.truncated }
}

describe('data: rows', () => {
  it('packs texts into full rows, each text followed by the end of text', () => {
    const made = maker(4)
    made.addText('12')
    made.addText('34')
    made.endText()
    made.addText('56')
    made.endText()
    expect(shown(made.finish())).to.deep.equal([
      { ids: [1, 2, 3, 4], promptLength: 0 },
      { ids: [END, 5, 6, END], promptLength: 0 }
    ])
  })

  it('joins texts where the tokenizer has no end of text', () => {
    const made = new RowMaker({ encode, endOfText: undefined, length: 3 })
    made.addText('12')
    made.endText()
    made.addText('345')
    made.endText()
    expect(shown(made.finish()).map(({ ids }) => ids)).to.deep.equal([[1, 2, 3], [4, 5]])
  })

  it('keeps a last row of two tokens, not of one', () => {
    for (const [text, last] of [['1234', [4, END]], ['12345', [4, 5, END]], ['12', [1, 2, END]]] as const) {
      const made = maker(3)
      made.addText(text)
      made.endText()
      expect(shown(made.finish()).at(-1)!.ids).to.deep.equal(last)
    }
    const made = maker(3)
    made.addText('123')
    made.endText()
    expect(made.finish()).to.have.length(1)
  })

  it('keeps completions out of packed rows', () => {
    const made = maker(4)
    made.addText('12')
    made.addCompletion('7', '8')
    made.addText('34')
    expect(shown(made.finish())).to.deep.equal([{ ids: [7, 8, END], promptLength: 1 }, { ids: [1, 2, 3, 4], promptLength: 0 }])
  })

  it('takes from the beginning of the prompt first, then from the end of the completion', () => {
    expect(completionRow('123', '45', 6, END)).to.deep.equal({ rows: [{ ids: [1, 2, 3, 4, 5, END], promptLength: 3 }], truncated: 0 })
    expect(completionRow('123', '45', 5, END)).to.deep.equal({ rows: [{ ids: [2, 3, 4, 5, END], promptLength: 2 }], truncated: 0 })
    expect(completionRow('123', '45', 3, END)).to.deep.equal({ rows: [{ ids: [4, 5, END], promptLength: 0 }], truncated: 0 })
    expect(completionRow('123', '45', 2, END)).to.deep.equal({ rows: [{ ids: [4, 5], promptLength: 0 }], truncated: 1 })
    expect(completionRow('123', '4567', 3)).to.deep.equal({ rows: [{ ids: [4, 5, 6], promptLength: 0 }], truncated: 1 })
  })

  it('makes no row of what predicts nothing', () => {
    expect(completionRow('', '1', 4)).to.deep.equal({ rows: [], truncated: 0 })
    expect(completionRow('123', '', 4)).to.deep.equal({ rows: [], truncated: 0 })
    expect(completionRow('', '1', 4, END)).to.deep.equal({ rows: [{ ids: [1, END], promptLength: 0 }], truncated: 0 })
    expect(maker(4).finish()).to.deep.equal([])
  })
})
