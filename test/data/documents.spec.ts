import { expect } from 'chai'
import { symlink, truncate } from 'node:fs/promises'
import { constants } from 'node:buffer'
import { join } from 'node:path'
import type { Document, TextTask } from '../../src/data/document.js'
import { readDocuments } from '../../src/data/documents.js'
import { rejection, withFolder } from './folder.js'

const BOM = '\ufeff'
/** é in Latin-1: no character of UTF-8 begins so. */
const LATIN1 = Buffer.from('caf\xe9', 'latin1')

async function readFor (task: TextTask, ...paths: string[]): Promise<Document[]> {
  const documents: Document[] = []
  for await (const document of readDocuments(paths, task)) documents.push(document)
  return documents
}

async function read (...paths: string[]): Promise<Document[]> {
  return await readFor('CAUSAL_LM', ...paths)
}

async function texts (...paths: string[]): Promise<string[]> {
  return (await read(...paths)).map(document => document.kind === 'text' ? document.text : document.kind)
}

describe('data: documents', () => {
  it('reads texts and rows, and says where they were', async () => {
    const files = { 'a.txt': 'one', 'b.md': '# two', 'c.jsonl': '{"text": "three", "id": 7}\n\n{"prompt": "four", "completion": "five"}\n' }
    await withFolder(files, async folder => {
      const [a, b, c] = Object.keys(files).map(name => join(folder, name))
      expect(await read(a, b, c)).to.deep.equal([
        { kind: 'text', text: 'one', source: a },
        { kind: 'text', text: '# two', source: b },
        { kind: 'text', text: 'three', source: `${c}, line 1` },
        { kind: 'completion', prompt: 'four', completion: 'five', source: `${c}, line 3` }
      ])
    })
  })

  it('reads conversations, without what it does not know', async () => {
    const messages = [{ role: 'system', content: '' }, { role: 'user', content: 'one' }, { role: 'assistant', content: 'two' }]
    const row = { id: 1, prompt: 'one', text: null, messages: messages.map((message, i) => ({ ...message, tokens: i })) }
    await withFolder({ 'a.jsonl': JSON.stringify(row) }, async folder => {
      const path = join(folder, 'a.jsonl')
      expect(await read(path)).to.deep.equal([{ kind: 'conversation', messages, source: `${path}, line 1` }])
    })
  })

  it('takes null for missing', async () => {
    const rows = ['{"text": "a", "prompt": null, "completion": null}', '{"text": null, "prompt": "b", "completion": "c", "messages": null}']
    await withFolder({ 'a.jsonl': rows.join('\n') }, async folder => {
      expect((await read(folder)).map(({ kind }) => kind)).to.deep.equal(['text', 'completion'])
    })
  })

  it('reads labelled texts, and pairs of them', async () => {
    const rows = ['{"text": "a", "label": "x"}', '{"text": "", "text_pair": null, "label": 2}', '{"text": "b", "text_pair": "c", "label": true, "idx": 4}', '{"text": "d", "text_pair": "", "label": -0.25}']
    await withFolder({ 'a.jsonl': rows.join('\n') }, async folder => {
      const source = (line: number): string => `${join(folder, 'a.jsonl')}, line ${line}`
      expect(await readFor('SEQ_CLS', folder)).to.deep.equal([
        { kind: 'labelled', text: 'a', textPair: undefined, label: 'x', source: source(1) },
        { kind: 'labelled', text: '', textPair: undefined, label: 2, source: source(2) },
        { kind: 'labelled', text: 'b', textPair: 'c', label: 1, source: source(3) },
        { kind: 'labelled', text: 'd', textPair: undefined, label: -0.25, source: source(4) }
      ])
    })
  })

  it('reads sources and targets', async () => {
    await withFolder({ 'a.jsonl': '{"source": "a", "target": "b", "id": 1}\n{"target": "c", "source": ""}' }, async folder => {
      const path = join(folder, 'a.jsonl')
      expect(await readFor('SEQ_2_SEQ_LM', path)).to.deep.equal([
        { kind: 'translation', text: 'a', target: 'b', source: `${path}, line 1` },
        { kind: 'translation', text: '', target: 'c', source: `${path}, line 2` }
      ])
    })
  })

  it('reads what the task asks for, and passes the rest over', async () => {
    await withFolder({ 'a.jsonl': '{"text": "a", "label": 1, "source": "b", "target": "c"}' }, async folder => {
      const kinds = async (task: TextTask): Promise<string[]> => (await readFor(task, folder)).map(({ kind }) => kind)
      expect([await kinds('CAUSAL_LM'), await kinds('SEQ_CLS'), await kinds('SEQ_2_SEQ_LM')]).to.deep.equal([['text'], ['labelled'], ['translation']])
    })
  })

  it('reads a folder and those in it in the order of names, without what is hidden or of another kind', async () => {
    const files = { 'z.txt': 'z', 'a.md': 'a', 'm/y.TXT': 'y', 'm/b.jsonl': '{"text":"b"}', 'm/c.CSV': 'text\nc', '.hidden.txt': '!', '.git/c.txt': '!', 'node_modules/c.txt': '!', 'photo.png': '!', README: '!' }
    await withFolder(files, async folder => {
      expect(await texts(folder)).to.deep.equal(['a', 'b', 'c', 'y', 'z'])
      expect(await texts(join(folder, 'node_modules'), join(folder, '.git'), join(folder, '.hidden.txt'))).to.deep.equal(['!', '!', '!'])
    })
  })

  it('follows links to files, not to folders', async () => {
    await withFolder({ 'a.txt': 'a' }, async folder => {
      await symlink(join(folder, 'a.txt'), join(folder, 'b.txt'))
      await symlink(folder, join(folder, 'around'))
      expect(await texts(folder)).to.deep.equal(['a', 'a'])
      await symlink(folder, join(folder, 'folder.txt'))
      expect(await rejection(read(folder))).to.have.property('name', 'InvalidDataError')
    })
  })

  it('drops the byte order mark and the line ends of Windows', async () => {
    const files = { 'a.txt': `${BOM}one\r\ntwo\r\n`, 'b.jsonl': `${BOM}{"text": "one\\r\\n"}\r\n\r\n{"text": "two"}\r\n` }
    await withFolder(files, async folder => {
      expect(await texts(folder)).to.deep.equal(['one\ntwo\n', 'one\r\n', 'two'])
    })
  })

  it('reads rows that are longer than what is read at once, and in many bytes a character', async () => {
    const long = 'é日😀'.repeat(50_000)
    await withFolder({ 'a.jsonl': `{"text": "${long}"}\n{"text": "${long}"}` }, async folder => {
      expect(await texts(folder)).to.deep.equal([long, long])
    })
  })

  it('takes empty files for what they are', async () => {
    await withFolder({ 'a.txt': '', 'b.jsonl': '', 'c.jsonl': '\n \n' }, async folder => {
      expect(await texts(folder)).to.deep.equal([''])
    })
  })

  describe('refuses, naming file and line,', () => {
    const refused: Array<[what: string, name: string, content: string | Uint8Array, parts: string[], task?: TextTask]> = [
      ['a file of another kind', 'a.pdf', 'x', ['a.pdf', '.pdf', '.txt', '.md', '.jsonl', '.csv', '.parquet']],
      ['a file without an extension', 'notes', 'x', ['notes', '.jsonl']],
      ['a text that is not UTF-8', 'a.txt', Buffer.concat([Buffer.from('one\ntwo\n'), LATIN1, Buffer.from('\nfour')]), ['a.txt, line 3', 'UTF-8']],
      ['a text that is not UTF-8 at its end', 'a.txt', Buffer.concat([Buffer.from('one\n'), LATIN1]), ['a.txt, line 2']],
      ['UTF-16', 'a.txt', Buffer.from(`${BOM}one`, 'utf16le'), ['a.txt, line 1', 'UTF-8']],
      ['a row that is not UTF-8', 'a.jsonl', Buffer.concat([Buffer.from('\n{"text": "'), LATIN1, Buffer.from('"}')]), ['a.jsonl, line 2', 'UTF-8']],
      ['a row that is not JSON', 'a.jsonl', '{"text": "x"}\n{"text": ', ['a.jsonl, line 2', 'JSON', '"text"']],
      ['a row with other keys', 'a.jsonl', '\r\n\r\n{"content": "x", "n": 1}', ['a.jsonl, line 3', 'content: string, n: number', '"prompt"']],
      ['a row whose text is no string', 'a.jsonl', '{"text": null}', ['a.jsonl, line 1', 'text: null']],
      ['a prompt without a completion', 'a.jsonl', '{"prompt": "x"}', ['a.jsonl, line 1', '"completion"']],
      ['a completion without a prompt', 'a.jsonl', '{"completion": "x"}', ['a.jsonl, line 1', '"prompt"']],
      ['a completion that is no string', 'a.jsonl', '{"prompt": "x", "completion": 7}', ['completion: number']],
      ['a completion that is empty', 'a.jsonl', '{"prompt": "x", "completion": ""}', ['completion: empty']],
      ['a row that is a text and a completion', 'a.jsonl', '{"text": "x", "prompt": "x", "completion": "x"}', ['a.jsonl, line 1']],
      ['messages that are no array', 'a.jsonl', '{"messages": "x"}', ['a.jsonl, line 1', 'messages', 'expected array']],
      ['a message that is no object', 'a.jsonl', '{"messages": ["x"]}', ['a.jsonl, line 1', '[0]']],
      ['a role that is not known', 'a.jsonl', '\n{"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "x"}]}', ['a.jsonl, line 2', '[1].role', 'assistant']],
      ['a content that is no string', 'a.jsonl', '{"messages": [{"role": "assistant", "content": [{"type": "text"}]}]}', ['a.jsonl, line 1', '[0].content']],
      ['a conversation without an answer', 'a.jsonl', '{"messages": [{"role": "user", "content": "x"}]}', ['a.jsonl, line 1', 'no message of the assistant']],
      ['a conversation of nothing', 'a.jsonl', '{"messages": []}', ['a.jsonl, line 1', 'no message of the assistant']],
      ['an answer that is empty', 'a.jsonl', '{"messages": [{"role": "assistant", "content": ""}]}', ['a.jsonl, line 1', 'is empty']],
      ['a row that is a text and a conversation', 'a.jsonl', '{"text": "x", "messages": [{"role": "assistant", "content": "x"}]}', ['a.jsonl, line 1', 'messages: object']],
      ['a row that is a completion and a conversation', 'a.jsonl', '{"prompt": "x", "completion": "x", "messages": [{"role": "assistant", "content": "x"}]}', ['a.jsonl, line 1']],
      ['a row that is no object', 'a.jsonl', '"x"', ['a string']],
      ['a row that is null', 'a.jsonl', 'null', ['null']],
      ['a row that is an array', 'a.jsonl', '["x"]', ['an array']],
      ['plain text for a classifier', 'a.txt', 'x', ['a.txt', '.jsonl', '.csv', '.parquet', '"label"'], 'SEQ_CLS'],
      ['plain text for what makes texts of others', 'a.md', 'x', ['a.md', '.jsonl', '"target"'], 'SEQ_2_SEQ_LM'],
      ['a text without a label', 'a.jsonl', '{"text": "x"}', ['a.jsonl, line 1', '"label"', '{text: string}'], 'SEQ_CLS'],
      ['a conversation for a classifier', 'a.jsonl', '{"messages": []}', ['a.jsonl, line 1', '"label"'], 'SEQ_CLS'],
      ['a label without a text', 'a.jsonl', '{"label": 1}', ['a.jsonl, line 1', '{label: number}'], 'SEQ_CLS'],
      ['a label that is null', 'a.jsonl', '\n{"text": "x", "label": null}', ['a.jsonl, line 2', 'label: null'], 'SEQ_CLS'],
      ['a label that is empty', 'a.jsonl', '{"text": "x", "label": ""}', ['label: empty'], 'SEQ_CLS'],
      ['labels that are several', 'a.jsonl', '{"text": "x", "label": [0, 1]}', ['label: object'], 'SEQ_CLS'],
      ['a second text that is no string', 'a.jsonl', '{"text": "x", "text_pair": 1, "label": 1}', ['text_pair: number'], 'SEQ_CLS'],
      ['a row for a classifier that is not JSON', 'a.jsonl', '{"text"', ['a.jsonl, line 1', 'JSON', '"label"'], 'SEQ_CLS'],
      ['a source without a target', 'a.jsonl', '{"source": "x"}', ['a.jsonl, line 1', '"target"', '{source: string}'], 'SEQ_2_SEQ_LM'],
      ['a target without a source', 'a.jsonl', '{"target": "x"}', ['a.jsonl, line 1', '"source"'], 'SEQ_2_SEQ_LM'],
      ['a target that is empty', 'a.jsonl', '{"source": "x", "target": ""}', ['target: empty'], 'SEQ_2_SEQ_LM'],
      ['a prompt for what makes texts of others', 'a.jsonl', '{"prompt": "x", "completion": "y"}', ['"source"', 'prompt: string'], 'SEQ_2_SEQ_LM'],
      ['a source for what continues texts', 'a.jsonl', '{"source": "x", "target": "y"}', ['"text"', 'source: string']]
    ]
    for (const [what, name, content, parts, task = 'CAUSAL_LM'] of refused) {
      it(what, async () => {
        await withFolder({ [name]: content }, async folder => {
          const error = await rejection(readFor(task, join(folder, name)))
          expect(error).to.have.property('name', 'InvalidDataError')
          for (const part of parts) expect(error!.message).to.include(part)
        })
      })
    }

    it('a path that is not there', async () => {
      const error = await rejection(read('/nowhere/data.txt'))
      expect(error).to.have.property('name', 'InvalidDataError')
      expect(error!.message).to.include('/nowhere/data.txt').and.include('.jsonl')
    })

    it('a folder with nothing to read', async () => {
      await withFolder({ 'a.png': '', '.b.txt': 'x' }, async folder => {
        const error = await rejection(read(folder))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include(folder)
      })
    })

    it('no path at all', async () => {
      expect(await rejection(read())).to.have.property('name', 'InvalidDataError')
    })

    it('a row file that cannot be opened', async () => {
      await withFolder({}, async folder => {
        await symlink(join(folder, 'gone'), join(folder, 'a.jsonl'))
        const error = await rejection(read(folder))
        expect(error).to.have.property('name', 'InvalidDataError')
        expect(error!.message).to.include('a.jsonl')
      })
    })

    it('a text that no string can hold', async () => {
      await withFolder({ 'a.txt': '' }, async folder => {
        await truncate(join(folder, 'a.txt'), constants.MAX_STRING_LENGTH + 1) // takes no room on the disk
        expect(await rejection(read(folder))).to.have.property('name', 'InvalidDataError')
      })
    })
  })
})
