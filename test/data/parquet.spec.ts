import { brotliCompressSync, gzipSync } from 'node:zlib'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { parquetWriteBuffer } from 'hyparquet-writer'
import type { Document, TextTask } from '../../src/data/document.js'
import { readParquet } from '../../src/data/parquet.js'
import { temporaryFolder } from '../support/temporary-folder.js'
import { rejection } from './folder.js'

type WriteOptions = Parameters<typeof parquetWriteBuffer>[0]

const text = (name: string, ...data: Array<string | null>): WriteOptions['columnData'][number] => ({ name, data, type: 'STRING' })

/** A column of lists of structs, as Python writes it. */
const MESSAGES: WriteOptions['schema'] = [
  { name: 'root', num_children: 1 },
  { name: 'messages', repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST' },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', repetition_type: 'OPTIONAL', num_children: 2 },
  { name: 'content', repetition_type: 'OPTIONAL', type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  { name: 'role', repetition_type: 'OPTIONAL', type: 'BYTE_ARRAY', converted_type: 'UTF8' }
]
const conversations = (...data: unknown[]): WriteOptions => ({ columnData: [{ name: 'messages', data }], schema: MESSAGES })

describe('data: parquet', () => {
  const folder = temporaryFolder()

  async function write (content: WriteOptions | Uint8Array): Promise<string> {
    const path = join(folder(), 'a.parquet')
    await writeFile(path, content instanceof Uint8Array ? content : new Uint8Array(parquetWriteBuffer(content)))
    return path
  }

  async function read (path: string, task: TextTask = 'CAUSAL_LM'): Promise<Document[]> {
    const documents: Document[] = []
    for await (const document of readParquet(path, task)) documents.push(document)
    return documents
  }

  it('reads columns in any order, passes others over, and says which row it was', async () => {
    const path = await write({ columnData: [text('completion', 'two\r\nlines', '日😀'), { name: 'id', data: [1, 2], type: 'INT32' }, text('prompt', 'one', '')] })
    expect(await read(path)).to.deep.equal([
      { kind: 'completion', prompt: 'one', completion: 'two\r\nlines', source: `${path}, row 1` },
      { kind: 'completion', prompt: '', completion: '日😀', source: `${path}, row 2` }
    ])
  })

  it('reads conversations', async () => {
    const one = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }]
    const two = [{ role: 'system', content: 'c' }, ...one, ...one]
    const path = await write(conversations(one, two))
    expect(await read(path)).to.deep.equal([
      { kind: 'conversation', messages: one, source: `${path}, row 1` },
      { kind: 'conversation', messages: two, source: `${path}, row 2` }
    ])
  })

  it('reads row groups one after the other', async () => {
    const rows = Array.from({ length: 100 }, (_, i) => `Text ${i}`)
    for (const rowGroupSize of [1, 7, 100, 500]) {
      const path = await write({ columnData: [text('text', ...rows)], rowGroupSize })
      const documents = await read(path)
      expect(documents.map(document => document.kind === 'text' && document.text)).to.deep.equal(rows)
      expect(documents.at(-1)!.source).to.equal(`${path}, row 100`)
    }
  })

  it('reads what is compressed', async () => {
    const rows = Array.from({ length: 300 }, (_, i) => `The same text ${i % 7} again and again`)
    const compressors = { GZIP: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)), BROTLI: (bytes: Uint8Array) => new Uint8Array(brotliCompressSync(bytes)) }
    for (const codec of ['UNCOMPRESSED', 'SNAPPY', 'GZIP', 'BROTLI'] as const) {
      const documents = await read(await write({ columnData: [text('text', ...rows)], codec, compressors }))
      expect(documents.map(document => document.kind === 'text' && document.text), codec).to.deep.equal(rows)
    }
  })

  it('takes null for missing', async () => {
    const path = await write({ columnData: [text('text', 'a', null), text('prompt', null, 'b'), text('completion', null, 'c')] })
    expect((await read(path)).map(({ kind }) => kind)).to.deep.equal(['text', 'completion'])
  })

  it('reads labels of any type', async () => {
    const labels: Array<[WriteOptions['columnData'][number], unknown[]]> = [
      [text('label', 'good', '1'), ['good', '1']],
      [{ name: 'label', data: [0, 7], type: 'INT32' }, [0, 7]],
      [{ name: 'label', data: [0n, 7n], type: 'INT64' }, [0, 7]],
      [{ name: 'label', data: [false, true], type: 'BOOLEAN' }, [0, 1]],
      [{ name: 'label', data: [-0.5, 2], type: 'DOUBLE' }, [-0.5, 2]]
    ]
    for (const [column, expected] of labels) {
      const path = await write({ columnData: [column, { name: 'idx', data: [1, 2], type: 'INT32' }, text('text_pair', 'b', null), text('text', 'a', '')] })
      expect(await read(path, 'SEQ_CLS'), column.type).to.deep.equal([
        { kind: 'labelled', text: 'a', textPair: 'b', label: expected[0], source: `${path}, row 1` },
        { kind: 'labelled', text: '', textPair: undefined, label: expected[1], source: `${path}, row 2` }
      ])
    }
  })

  it('reads sources and targets', async () => {
    const path = await write({ columnData: [text('target', 'b', '日😀'), text('source', 'a', '')] })
    expect(await read(path, 'SEQ_2_SEQ_LM')).to.deep.equal([
      { kind: 'translation', text: 'a', target: 'b', source: `${path}, row 1` },
      { kind: 'translation', text: '', target: '日😀', source: `${path}, row 2` }
    ])
  })

  it('takes labelled texts for texts where the model continues them', async () => {
    const path = await write({ columnData: [text('text', 'a'), { name: 'label', data: [1n], type: 'INT64' }] })
    expect(await read(path)).to.deep.equal([{ kind: 'text', text: 'a', source: `${path}, row 1` }])
  })

  it('finds nothing in a table without rows', async () => {
    expect(await read(await write({ columnData: [text('text')] }))).to.deep.equal([])
  })

  describe('refuses, naming file and row,', () => {
    const whole = (): Uint8Array => new Uint8Array(parquetWriteBuffer({ columnData: [text('text', ...Array.from({ length: 100 }, (_, i) => `Text ${i}`))], codec: 'UNCOMPRESSED' }))
    /** The bytes of the first page's header are no header any more. */
    const damaged = (): Uint8Array => whole().fill(0xff, 4, 40)

    const refused: Array<[what: string, content: () => WriteOptions | Uint8Array, parts: string[], task?: TextTask]> = [
      ['an empty file', () => new Uint8Array(), ['parquet']],
      ['a file that is not parquet', () => Buffer.from('text\nnot parquet\n'), ['parquet']],
      ['a truncated file', () => whole().subarray(0, 500), ['truncated']],
      ['a file without its end', () => whole().subarray(0, -1), ['truncated']],
      ['a file whose pages are damaged', damaged, ['rows 1 to 100', 'damaged']],
      ['a table without the columns', () => ({ columnData: [text('content', 'x'), text('id', 'y')] }), ['content, id', 'prompt']],
      ['a prompt without a completion', () => ({ columnData: [text('prompt', 'x')] }), ['completion']],
      ['a row whose text is no string', () => ({ columnData: [{ name: 'text', data: [1, 2], type: 'INT32' }] }), ['row 1', 'text: number']],
      ['a row without a text', () => ({ columnData: [text('text', 'x', null)] }), ['row 2', 'text: ']],
      ['an empty completion', () => ({ columnData: [text('prompt', 'x', 'x', 'x'), text('completion', 'y', 'y', '')], rowGroupSize: 2 }), ['row 3', 'completion: empty']],
      ['text beside a completion', () => ({ columnData: [text('text', 'x'), text('prompt', 'x'), text('completion', 'x')] }), ['row 1']],
      ['messages that are no list', () => ({ columnData: [text('messages', '[]')] }), ['row 1', 'expected array']],
      ['a text that is not UTF-8', () => ({ columnData: [{ name: 'text', data: [Buffer.from('caf\xe9', 'latin1')], type: 'BYTE_ARRAY' }] }), ['rows 1 to 1', 'utf-8']],
      ['a role that is not known', () => conversations([{ role: 'assistant', content: 'x' }], [{ role: 'tool', content: 'x' }]), ['row 2', '[0].role']],
      ['a message without its content', () => conversations([{ role: 'assistant', content: null }]), ['row 1', '[0].content']],
      ['texts without labels', () => ({ columnData: [text('text', 'x')] }), ['columns text and label are needed', 'the columns are text'], 'SEQ_CLS'],
      ['a label that is null', () => ({ columnData: [text('text', 'x', 'y'), text('label', 'a', null)] }), ['row 2', 'label: ', '"label"'], 'SEQ_CLS'],
      ['a label that is no number', () => ({ columnData: [text('text', 'x'), { name: 'label', data: [NaN], type: 'DOUBLE' }] }), ['row 1', 'label: number'], 'SEQ_CLS'],
      ['a source without a target', () => ({ columnData: [text('source', 'x'), text('text', 'x')] }), ['columns source and target are needed', 'source, text'], 'SEQ_2_SEQ_LM'],
      ['an empty target', () => ({ columnData: [text('source', 'x'), text('target', '')] }), ['row 1', 'target: empty'], 'SEQ_2_SEQ_LM']
    ]
    for (const [what, content, parts, task] of refused) {
      it(what, async () => {
        const error = await rejection(read(await write(content()), task))
        expect(error).to.have.property('name', 'InvalidDataError')
        for (const part of ['a.parquet', ...parts]) expect(error!.message).to.include(part)
      })
    }
  })
})
