import { expect } from 'chai'
import { join } from 'node:path'
import { readCsv } from '../../src/data/csv.js'
import type { Document, TextTask } from '../../src/data/document.js'
import { rejection, withFolder } from './folder.js'

async function read (path: string, task: TextTask = 'CAUSAL_LM'): Promise<Document[]> {
  const documents: Document[] = []
  for await (const document of readCsv(path, task)) documents.push(document)
  return documents
}

async function texts (content: string | Uint8Array): Promise<string[]> {
  let found: string[] = []
  await withFolder({ 'a.csv': content }, async folder => {
    found = (await read(join(folder, 'a.csv'))).map(document => document.kind === 'text' ? document.text : document.kind)
  })
  return found
}

/** As RFC 4180 says: in quotes, each of which inside stands twice. */
const quoted = (field: string): string => `"${field.replaceAll('"', '""')}"`

describe('data: csv', () => {
  it('reads columns in any order, passes others over, and says on which line a record begins', async () => {
    await withFolder({ 'a.csv': 'completion,id,prompt\r\n"two\r\nlines",1,one\r\n\r\n"four, five",2,"thr""ee"\r\n' }, async folder => {
      const path = join(folder, 'a.csv')
      expect(await read(path)).to.deep.equal([
        { kind: 'completion', prompt: 'one', completion: 'two\r\nlines', source: `${path}, line 2` },
        { kind: 'completion', prompt: 'thr"ee', completion: 'four, five', source: `${path}, line 5` }
      ])
    })
  })

  it('reads back whatever stands in quotes', async () => {
    const fields = ['', ' ', '"', '""', ',', '\n', '\r\n', '"\n",', 'a\n\n\nb', "it's; a\ttab", 'é日😀', 'x'.repeat(200_000), '\n"'.repeat(5000)]
    for (const end of ['\n', '\r\n']) {
      for (const last of ['', end]) {
        expect(await texts(`id,text${end}${fields.map((field, i) => `${i},${quoted(field)}`).join(end)}${last}`)).to.deep.equal(fields)
      }
    }
  })

  it('reads fields without quotes as they are', async () => {
    expect(await texts('id,text\n1,  spaces  \n2,\n3,007\n')).to.deep.equal(['  spaces  ', '', '007'])
  })

  it('takes one column, a byte order mark, and mixed line ends', async () => {
    expect(await texts('\ufefftext\r\none\ntwo\r\n"three"')).to.deep.equal(['one', 'two', 'three'])
  })

  it('finds nothing under a header alone', async () => {
    expect(await texts('text')).to.deep.equal([])
    expect(await texts('prompt,completion\r\n\r\n')).to.deep.equal([])
  })

  it('reads labelled texts, and pairs of them', async () => {
    await withFolder({ 'a.csv': 'label,id,text\ngood,1,one\n1,2,\n-0.5,3,"t,wo"\n', 'b.csv': 'text_pair,text,label\nb,a,x\n,c,y\n' }, async folder => {
      const [a, b] = [join(folder, 'a.csv'), join(folder, 'b.csv')]
      expect(await read(a, 'SEQ_CLS')).to.deep.equal([
        { kind: 'labelled', text: 'one', textPair: undefined, label: 'good', source: `${a}, line 2` },
        { kind: 'labelled', text: '', textPair: undefined, label: '1', source: `${a}, line 3` },
        { kind: 'labelled', text: 't,wo', textPair: undefined, label: '-0.5', source: `${a}, line 4` }
      ])
      expect(await read(b, 'SEQ_CLS')).to.deep.equal([
        { kind: 'labelled', text: 'a', textPair: 'b', label: 'x', source: `${b}, line 2` },
        { kind: 'labelled', text: 'c', textPair: undefined, label: 'y', source: `${b}, line 3` }
      ])
    })
  })

  it('reads sources and targets', async () => {
    await withFolder({ 'a.csv': 'target,source,lang\n"eins, zwei",one,de\ndrei,,de\n' }, async folder => {
      const path = join(folder, 'a.csv')
      expect(await read(path, 'SEQ_2_SEQ_LM')).to.deep.equal([
        { kind: 'translation', text: 'one', target: 'eins, zwei', source: `${path}, line 2` },
        { kind: 'translation', text: '', target: 'drei', source: `${path}, line 3` }
      ])
    })
  })

  it('takes labelled texts for texts where the model continues them', async () => {
    await withFolder({ 'a.csv': 'text,label\none,good\n' }, async folder => {
      const path = join(folder, 'a.csv')
      expect(await read(path)).to.deep.equal([{ kind: 'text', text: 'one', source: `${path}, line 2` }])
    })
  })

  describe('refuses, naming file and line,', () => {
    const refused: Array<[what: string, content: string | Uint8Array, parts: string[], task?: TextTask]> = [
      ['an empty file', '', ['line 1', 'header']],
      ['a file of empty lines', '\r\n\r\n', ['line 1', 'header']],
      ['a header without the columns', 'id,content\n1,x', ['line 1', 'id, content', 'prompt']],
      ['a prompt without a completion', 'prompt,id\nx,1', ['line 1', 'completion']],
      ['a header that is somebody\'s text, without showing all of it', `${'x'.repeat(300)}\n`, ['line 1', `${'x'.repeat(100)}…`]],
      ['semicolons', 'prompt;completion\nx;y', ['line 1', 'prompt;completion']],
      ['two columns of a name', 'text,text\nx,y', ['line 1', 'text']],
      ['a row with too few fields', 'text,id\nx,1\ny\n', ['line 3', '1 fields', '2']],
      ['a row with too many fields', 'text\n"a\nb"\nx,y', ['line 4', '2 fields', '1']],
      ['an empty completion', 'prompt,completion\nx,', ['line 2', 'completion: empty']],
      ['text beside a completion', 'text,prompt,completion\nx,y,z', ['line 2', 'prompt: string']],
      ['messages, which no field can hold', 'messages\n[]', ['line 2', 'messages']],
      ['a quote that is not closed', 'text\nx\n"y\nz\n', ['line 3', 'never closed']],
      ['a quote in a field without quotes', 'text\nx\n5" pipe\n6" pipe', ['line 3', 'quotes']],
      ['text after a closing quote', 'text\n"x"y', ['line 2', 'quotes']],
      ['a field that is not UTF-8', Buffer.from('text\n"one\ncaf\xe9"', 'latin1'), ['line 3', 'UTF-8']],
      ['UTF-16', Buffer.from('\ufefftext\nx', 'utf16le'), ['line 1', 'UTF-8']],
      ['an empty file for a classifier', '', ['line 1', 'header', 'text, label, text_pair'], 'SEQ_CLS'],
      ['texts without labels', 'text,id\nx,1', ['line 1', 'columns text and label are needed', 'text, id'], 'SEQ_CLS'],
      ['a prompt for a classifier', 'prompt,completion\nx,y', ['line 1', 'columns text and label', 'prompt, completion'], 'SEQ_CLS'],
      ['two columns of labels', 'text,label,label\nx,1,2', ['line 1', 'two columns are named label'], 'SEQ_CLS'],
      ['an empty label', 'text,label\nx,1\ny,', ['line 3', 'label: empty', '"label"'], 'SEQ_CLS'],
      ['a source without a target', 'source,text\nx,y', ['line 1', 'columns source and target are needed', 'source, text'], 'SEQ_2_SEQ_LM'],
      ['an empty target', 'source,target\nx,', ['line 2', 'target: empty', '"target"'], 'SEQ_2_SEQ_LM']
    ]
    for (const [what, content, parts, task] of refused) {
      it(what, async () => {
        await withFolder({ 'a.csv': content }, async folder => {
          const error = await rejection(read(join(folder, 'a.csv'), task))
          expect(error).to.have.property('name', 'InvalidDataError')
          for (const part of ['a.csv', ...parts]) expect(error!.message).to.include(part)
          expect(error!.message).to.have.length.below(600)
        })
      })
    }
  })
})
