import { expect } from 'chai'
import type { Document } from '../../src/data/document.js'
import type { Message } from '../../src/data/messages.js'
import { type Example, split } from '../../src/data/split.js'

const text = (content: string): Document => ({ kind: 'text', text: content, source: '' })
const completion = (prompt: string, answer: string): Document => ({ kind: 'completion', prompt, completion: answer, source: '' })
const lines = (from: number, to: number): string => Array.from({ length: to - from }, (_, i) => `Line ${from + i} says that ${(from + i) ** 2} is a square.\n`).join('')
const conversation = (...messages: readonly Message[]): Document => ({ kind: 'conversation', messages, source: '' })
const labelled = (content: string, textPair: string | undefined, label: string): Document => ({ kind: 'labelled', text: content, textPair, label, source: '' })
const translation = (content: string, target: string): Document => ({ kind: 'translation', text: content, target, source: '' })

function textOf (example: Example): string {
  switch (example.kind) {
    case 'text': return example.parts.join('')
    case 'completion': return example.prompt + example.completion
    case 'conversation': return JSON.stringify(example.messages)
    case 'labelled': return JSON.stringify([example.text, example.textPair])
    case 'translation': return JSON.stringify([example.text, example.target])
  }
}
const textsOf = (examples: readonly Example[]): string[] => examples.map(textOf)

async function sides (documents: readonly Document[], share: number): Promise<{ train: string[], heldOut: string[] }> {
  const { train, heldOut } = await split(documents, share)
  return { train: textsOf(train), heldOut: textsOf(heldOut) }
}

describe('data: split', () => {
  it('gives every character to one side, and about the share to the held-out one', async () => {
    const whole = lines(0, 40_000)
    const { train, heldOut } = await sides([text(whole)], 0.1)
    const size = (parts: string[]): number => parts.join('').length
    expect(size(train) + size(heldOut)).to.equal(whole.length)
    expect(size(heldOut) / whole.length).to.be.within(0.07, 0.13)
    for (const stretch of [...train, ...heldOut]) {
      expect(whole).to.include(stretch)
      expect(stretch.endsWith('\n')).to.be.true
    }
  })

  it('stays the same when a file is appended to', async () => {
    const before = await sides([text(lines(0, 5000))], 0.1)
    const after = await sides([text(lines(0, 9000))], 0.1)
    expect(before.heldOut.length).to.be.above(2)
    expect(after.heldOut.slice(0, before.heldOut.length - 1)).to.deep.equal(before.heldOut.slice(0, -1))
    expect(after.train.slice(0, before.train.length - 1)).to.deep.equal(before.train.slice(0, -1))
  })

  it('stays the same when other documents come before it', async () => {
    const own = await sides([text(lines(0, 5000))], 0.2)
    const both = await sides([completion('a', 'b'), text(lines(5000, 6000)), text(lines(0, 5000))], 0.2)
    expect(both.train.slice(-own.train.length)).to.deep.equal(own.train)
    expect(both.heldOut.slice(-own.heldOut.length)).to.deep.equal(own.heldOut)
  })

  it('puts the same content on the same side', async () => {
    const completions = Array.from({ length: 200 }, (_, i) => completion(`${i % 50} + 1`, `${i % 50 + 1}`))
    const conversations = completions.map((_, i) => conversation({ role: 'user', content: `${i % 50}?` }, { role: 'assistant', content: 'yes' }))
    const labels = completions.map((_, i) => labelled(`${i % 50}`, undefined, `${i}`)) // whatever people said of it
    const pairs = completions.map((_, i) => labelled('a', `${i % 50}`, 'x'))
    const translations = completions.map((_, i) => translation(`${i % 50}`, 'x'))
    for (const records of [completions, conversations, labels, pairs, translations]) {
      const { train, heldOut } = await sides(records, 0.3)
      expect(heldOut.length).to.be.above(0)
      expect(train.length + heldOut.length).to.equal(200)
      expect(heldOut.filter(content => train.includes(content))).to.deep.equal([])
    }
  })

  it('tells apart where one text ends and the other begins', async () => {
    for (const make of [completion, translation, (one: string, other: string) => labelled(one, other, 'x')]) {
      const records = Array.from({ length: 40 }, (_, i) => ['ab', `${i}`]).flatMap(([a, b]) => [make(a, b), make(a + b, '')])
      const { train, heldOut } = await split(records, 0.5)
      const sideOf = new Map([...train.map(record => [record, 'train'] as const), ...heldOut.map(record => [record, 'held out'] as const)])
      const together = records.filter((record, i) => i % 2 === 0 && sideOf.get(record as Example) === sideOf.get(records[i + 1] as Example))
      expect(together.length).to.be.within(5, 35)
    }
  })

  it('holds more out as the share grows, and never takes anything back', async () => {
    const records = Array.from({ length: 100 }, (_, i) => completion(`${i}`, 'x'))
    const [some, more] = [await sides(records, 0.1), await sides(records, 0.5)]
    expect(more.heldOut).to.include.members(some.heldOut)
    expect(more.heldOut.length).to.be.above(some.heldOut.length)
  })

  it('leaves neither side empty where there are two different contents', async () => {
    for (const share of [1e-12, 0.1, 0.5, 0.9, 1 - 1e-12]) {
      for (const count of [2, 3, 10]) {
        const { train, heldOut } = await sides(Array.from({ length: count }, (_, i) => completion(`${i}`, `${share}`)), share)
        expect(train).to.not.be.empty
        expect(heldOut).to.not.be.empty
        if (share === 1e-12) expect(heldOut).to.have.length(1)
        if (share === 1 - 1e-12) expect(train).to.have.length(1)
      }
    }
  })

  it('trains on a single content, and on everything where the share is zero', async () => {
    expect(await sides([text('one')], 0.9)).to.deep.equal({ train: ['one'], heldOut: [] })
    expect((await sides([text('one'), text('one')], 0.9)).heldOut).to.be.empty
    expect((await sides([text(lines(0, 5000))], 0)).heldOut).to.be.empty
  })

  it('has nothing to split in no documents and in empty ones', async () => {
    expect(await sides([], 0.1)).to.deep.equal({ train: [], heldOut: [] })
    expect(await sides([text('')], 0.1)).to.deep.equal({ train: [], heldOut: [] })
  })

  it('joins neighbouring segments, never those of two documents, in parts that are quickly tokenised', async () => {
    const { train } = await split([text(lines(0, 1000)), text(lines(1000, 2000))], 0)
    expect(textsOf(train)).to.deep.equal([lines(0, 1000), lines(1000, 2000)])
    for (const example of train) {
      for (const part of example.kind === 'text' ? example.parts : []) expect(part.length).to.be.within(1, 8192)
    }
  })

  it('cuts a text without line ends at spaces, and one without those between characters', async () => {
    const words = 'word '.repeat(20_000)
    const cutWords = await sides([text(words)], 0.5)
    expect([...cutWords.train, ...cutWords.heldOut].join('').length).to.equal(words.length)
    const emoji = 'x' + '😀'.repeat(20_000)
    const { train, heldOut } = await sides([text(emoji)], 0.5)
    expect(train).to.not.be.empty
    expect(heldOut).to.not.be.empty
    for (const stretch of [...train, ...heldOut]) expect(stretch.isWellFormed()).to.be.true
    expect([...train, ...heldOut].join('').length).to.equal(emoji.length)
  })
})
