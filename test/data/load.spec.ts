import { expect } from 'chai'
import { join } from 'node:path'
import { type Dataset, type LoadOptions, loadTexts } from '../../src/data/load.js'
import type { RowSet } from '../../src/data/row-set.js'
import type { RowOptions } from '../../src/data/rows.js'
import { TokenRowMaker } from '../../src/data/token-rows.js'
import type { RenderChat } from '../../src/types.js'
import { encodedRows } from './encoded-rows.js'
import { rejection, withFolder } from './folder.js'

const END = 0x110000
/** One token a character. */
const encode = (text: string): number[] => Array.from(text, character => character.codePointAt(0)!)
const OPTIONS = { encode, endOfText: END, length: 16 }

async function loadData ({ encode, render, endOfText, length, ...options }: Omit<LoadOptions, 'task'> & RowOptions): Promise<Dataset> {
  return await loadTexts({ ...options, task: 'CAUSAL_LM' }, () => new TokenRowMaker({ encode, render, endOfText, length }))
}

const STORY = Array.from({ length: 3000 }, (_, i) => `On day ${i} it rained.\n`).join('')

const shown = ({ train, heldOut, ...rest }: Dataset): unknown => ({ ...rest, train: encodedRows(train), heldOut: encodedRows(heldOut) })
const tokens = (rows: RowSet): number[] => encodedRows(rows).flatMap(({ ids }) => [...ids])
const words = (rows: RowSet): string => String.fromCodePoint(...tokens(rows).filter(id => id !== END))

describe('data: loading', () => {
  it('gives the same rows each time, all text on one side or the other', async () => {
    await withFolder({ 'a.txt': STORY, 'b.jsonl': '{"prompt": "1+1=", "completion": "2"}' }, async folder => {
      const [once, again] = [await loadData({ ...OPTIONS, paths: [folder] }), await loadData({ ...OPTIONS, paths: [folder] })]
      expect(shown(again)).to.deep.equal(shown(once))
      expect(once).to.include({ documents: 2, truncated: 0 })
      expect(once.heldOut.count).to.be.above(0)
      expect(words(once.train).length + words(once.heldOut).length).to.equal(STORY.length + '1+1=2'.length)
    })
  })

  it('trains on all of it where nothing is to be held out', async () => {
    await withFolder({ 'a.txt': STORY }, async folder => {
      const { train, heldOut } = await loadData({ ...OPTIONS, paths: [join(folder, 'a.txt')], heldOutShare: 0 })
      expect(heldOut.count).to.equal(0)
      expect(words(train)).to.equal(STORY)
      expect(encodedRows(train).slice(0, -1).every(({ ids }) => ids.length === 16)).to.be.true
    })
  })

  it('counts the completions that it cut, on either side', async () => {
    const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ prompt: `${i}`, completion: 'x'.repeat(i < 5 ? 30 : 3) }))
    await withFolder({ 'a.jsonl': rows.join('\n') }, async folder => {
      const { train, heldOut, truncated, documents } = await loadData({ ...OPTIONS, paths: [folder], heldOutShare: 0.5 })
      expect({ truncated, documents, rows: train.count + heldOut.count }).to.deep.equal({ truncated: 5, documents: 20, rows: 20 })
    })
  })

  it('makes the same rows of a .csv as of a .jsonl file', async () => {
    const rows = Array.from({ length: 40 }, (_, i) => ({ prompt: `${i}, "and"\n`, completion: `${i ** 2}` }))
    const quoted = (field: string): string => `"${field.replaceAll('"', '""')}"`
    const csv = ['prompt,completion', ...rows.map(({ prompt, completion }) => `${quoted(prompt)},${completion}`)].join('\r\n')
    await withFolder({ 'a.csv': csv, 'a.jsonl': rows.map(row => JSON.stringify(row)).join('\n') }, async folder => {
      const [one, other] = [await loadData({ ...OPTIONS, paths: [join(folder, 'a.csv')] }), await loadData({ ...OPTIONS, paths: [join(folder, 'a.jsonl')] })]
      expect(shown(one)).to.deep.equal(shown(other))
      expect(one.heldOut.count).to.be.above(0)
    })
  })

  it('splits conversations by their content, and tokenises them by the template', async () => {
    const chat = (i: number): string => JSON.stringify({ messages: [{ role: 'user', content: `${i}?` }, { role: 'assistant', content: `${i}!` }] })
    const rows = Array.from({ length: 40 }, (_, i) => chat(i % 20))
    const render: RenderChat = (messages, open) => messages.map(({ content }) => `>${content}`).join('') + (open ? '>' : '')
    await withFolder({ 'a.jsonl': rows.join('\n') }, async folder => {
      const calls: number[][] = []
      const { train, heldOut, documents } = await loadData({ ...OPTIONS, render, paths: [folder], heldOutShare: 0.4, onProgress: (...call) => calls.push(call) })
      const texts = (side: RowSet): string[] => encodedRows(side).map(({ ids }) => String.fromCodePoint(...ids))
      expect(documents).to.equal(40)
      expect(texts(train).length + texts(heldOut).length).to.equal(40)
      expect(texts(heldOut).filter(text => texts(train).includes(text))).to.deep.equal([])
      for (const { ids, spans } of encodedRows(train)) {
        expect(String.fromCodePoint(...ids)).to.match(/^>(\d+)\?>\1!$/)
        expect(spans).to.deep.equal([{ begin: ids.indexOf(0x3e, 1) + 1, end: ids.length }])
      }
      expect(calls.at(-1)![0]).to.equal(calls.at(-1)![1])
    })
  })

  it('refuses conversations without a chat template, naming file and line', async () => {
    const chat = JSON.stringify({ messages: [{ role: 'assistant', content: 'x' }] })
    await withFolder({ 'a.jsonl': `\n${chat}` }, async folder => {
      const error = await rejection(loadData({ ...OPTIONS, paths: [folder] }))
      expect(error).to.have.property('name', 'InvalidDataError')
      expect(error!.message).to.include('a.jsonl, line 2').and.include('chat_template')
    })
  })

  it('tells how far it is, in bytes', async () => {
    await withFolder({ 'a.txt': STORY, 'b.jsonl': '{"prompt": "é", "completion": "日"}' }, async folder => {
      const total = STORY.length + 2 + 3
      const calls: number[][] = []
      await loadData({ ...OPTIONS, paths: [folder], onProgress: (...call) => calls.push(call) })
      expect(calls.length).to.be.above(5)
      expect(calls.every(([, all]) => all === total)).to.be.true
      expect(calls.map(([done]) => done)).to.deep.equal(calls.map(([done]) => done).sort((a, b) => a - b))
      expect(calls.at(-1)).to.deep.equal([total, total])
    })
  })

  it('gives other work its turn between texts', async () => {
    await withFolder({ 'a.txt': STORY }, async folder => {
      let turns = 0
      let running = true
      const other = (): void => {
        turns++
        if (running) setImmediate(other)
      }
      const pieces: number[] = []
      const loading = loadData({ ...OPTIONS, paths: [folder], onProgress: () => pieces.push(turns) })
      other()
      await loading
      running = false
      expect(new Set(pieces).size).to.equal(pieces.length)
    })
  })

  it('ends with its signal', async () => {
    await withFolder({ 'a.txt': STORY }, async folder => {
      const controller = new AbortController()
      const options = { ...OPTIONS, paths: [folder], signal: controller.signal, onProgress: () => { controller.abort() } }
      expect(await rejection(loadData(options))).to.have.property('name', 'AbortError')
    })
  })

  it('refuses data in which there is nothing to train on', async () => {
    for (const content of ['', 'x']) {
      await withFolder({ 'a.txt': content }, async folder => {
        const error = await rejection(loadData({ ...OPTIONS, endOfText: undefined, paths: [folder] }))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include(folder)
      })
    }
  })

  it('refuses lengths and shares that are not possible', async () => {
    for (const wrong of [{ length: 1 }, { length: 2.5 }, { length: NaN }, { heldOutShare: 1 }, { heldOutShare: -0.1 }, { heldOutShare: NaN }]) {
      expect(await rejection(loadData({ ...OPTIONS, paths: ['x.txt'], ...wrong }))).to.have.property('name', 'InvalidOptionError')
    }
  })
})
