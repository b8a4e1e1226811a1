import { expect } from 'chai'
import type { Message } from '../../src/data/messages.js'
import { type EncodedRow, PackedRows, type Span } from '../../src/data/rows.js'
import type { RenderChat } from '../../src/types.js'

const END = 999
/** One token a digit. */
const encode = (text: string): number[] => Array.from(text, Number)
/** A 7 before what the user says, an 8 before an answer, and a 9 after it. */
const render: RenderChat = (messages, open) =>
  messages.map(({ role, content }) => role === 'assistant' ? `8${content}9` : `7${content}`).join('') + (open ? '8' : '')

const user = (content: string): Message => ({ role: 'user', content })
const assistant = (content: string): Message => ({ role: 'assistant', content })

function maker (length: number): PackedRows {
  return new PackedRows({ encode, endOfText: END, length })
}

function shown (rows: readonly EncodedRow[]): Array<{ ids: number[], spans: readonly Span[] }> {
  return rows.map(({ ids, spans }) => ({ ids: [...ids], spans }))
}

/** All but the first tokens carry loss. */
const row = (ids: number[], begin = 0): unknown => ({ ids, spans: [{ begin, end: ids.length }] })

function completionRow (prompt: string, completion: string, length: number, endOfText?: number): unknown {
  const made = new PackedRows({ encode, endOfText, length })
  made.addCompletion(prompt, completion)
  return { rows: shown(made.finish()), truncated: made.truncated }
}

function conversationRow (messages: readonly Message[], length: number): unknown {
  const made = new PackedRows({ encode, render, endOfText: END, length })
  made.addConversation(messages, 'chat.jsonl, line 4')
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
    expect(shown(made.finish())).to.deep.equal([row([1, 2, 3, 4]), row([END, 5, 6, END])])
  })

  it('joins texts where the tokenizer has no end of text', () => {
    const made = new PackedRows({ encode, endOfText: undefined, length: 3 })
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
    expect(shown(made.finish())).to.deep.equal([row([7, 8, END], 1), row([1, 2, 3, 4])])
  })

  it('takes from the beginning of the prompt first, then from the end of the completion', () => {
    expect(completionRow('123', '45', 6, END)).to.deep.equal({ rows: [row([1, 2, 3, 4, 5, END], 3)], truncated: 0 })
    expect(completionRow('123', '45', 5, END)).to.deep.equal({ rows: [row([2, 3, 4, 5, END], 2)], truncated: 0 })
    expect(completionRow('123', '45', 3, END)).to.deep.equal({ rows: [row([4, 5, END])], truncated: 0 })
    expect(completionRow('123', '45', 2, END)).to.deep.equal({ rows: [row([4, 5])], truncated: 1 })
    expect(completionRow('123', '4567', 3)).to.deep.equal({ rows: [row([4, 5, 6])], truncated: 1 })
  })

  it('makes no row of what predicts nothing', () => {
    expect(completionRow('', '1', 4)).to.deep.equal({ rows: [], truncated: 0 })
    expect(completionRow('123', '', 4)).to.deep.equal({ rows: [], truncated: 0 })
    expect(completionRow('', '1', 4, END)).to.deep.equal({ rows: [row([1, END])], truncated: 0 })
    expect(maker(4).finish()).to.deep.equal([])
  })

  it('refuses rows that would predict nothing', () => {
    for (const length of [1, 0, -1, 2.5, NaN]) expect(() => maker(length), String(length)).to.throw().with.property('name', 'InvalidOptionError')
  })

  describe('of conversations', () => {
    const TWO = [user('1'), assistant('2'), user('3'), assistant('45')]
    const ONE = [{ role: 'system' as const, content: '1' }, user('2'), assistant('34')]

    it('count the answers, with what ends them, and neither questions nor an end of text', () => {
      expect(conversationRow(TWO, 20)).to.deep.equal({
        rows: [{ ids: [7, 1, 8, 2, 9, 7, 3, 8, 4, 5, 9], spans: [{ begin: 3, end: 5 }, { begin: 8, end: 11 }] }], truncated: 0
      })
      expect(conversationRow(ONE, 20)).to.deep.equal({ rows: [row([7, 1, 7, 2, 8, 3, 4, 9], 5)], truncated: 0 })
    })

    it('leave out what follows the last answer', () => {
      expect(conversationRow([...ONE, user('5')], 20)).to.deep.equal(conversationRow(ONE, 20))
    })

    it('lose tokens from the beginning, then the last answer from its end', () => {
      expect(conversationRow(TWO, 8)).to.deep.equal({
        rows: [{ ids: [2, 9, 7, 3, 8, 4, 5, 9], spans: [{ begin: 0, end: 2 }, { begin: 5, end: 8 }] }], truncated: 0
      })
      expect(conversationRow(TWO, 7)).to.deep.equal({
        rows: [{ ids: [9, 7, 3, 8, 4, 5, 9], spans: [{ begin: 0, end: 1 }, { begin: 4, end: 7 }] }], truncated: 1
      })
      expect(conversationRow(TWO, 6)).to.deep.equal({ rows: [row([7, 3, 8, 4, 5, 9], 3)], truncated: 1 })
      expect(conversationRow(TWO, 2)).to.deep.equal({ rows: [row([4, 5])], truncated: 1 })
      expect(conversationRow(ONE, 3)).to.deep.equal({ rows: [row([3, 4, 9])], truncated: 0 })
      expect(conversationRow(ONE, 2)).to.deep.equal({ rows: [row([3, 4])], truncated: 1 })
    })

    it('need a chat template', () => {
      expect(() => maker(4).addConversation(TWO, 'chat.jsonl, line 4')).to.throw(/chat\.jsonl, line 4.*chat_template/)
        .with.property('name', 'InvalidDataError')
    })
  })
})
