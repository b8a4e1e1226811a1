import { parse } from 'csv-parse/sync'
import { InvalidDataError } from '../errors.js'
import { checkColumns, columnsOf, type Document, type TextTask, toDocument } from './document.js'
import { linesOf } from './lines.js'

interface CsvRecord {
  readonly fields: readonly string[]
  /** The file, and the line on which the record begins. */
  readonly source: string
}

/**
 * Comma-separated values with a header line, as in RFC 4180: a field in quotes may hold commas, line ends, and quotes,
 * which stand twice. Line ends inside of fields stay as they are; empty lines between records are passed over.
 *
 * @throws {InvalidDataError} naming file and line
 */
export async function * readCsv (path: string, task: TextTask): AsyncGenerator<Document> {
  let columns: readonly string[] | undefined
  for await (const { fields, source } of recordsOf(path)) {
    if (columns === undefined) {
      checkColumns(fields, task, source)
      columns = fields
      continue
    }
    if (fields.length !== columns.length) {
      throw new InvalidDataError(`${source}: ${fields.length} fields, the header has ${columns.length}; a field with commas needs quotes`)
    }
    yield toDocument(Object.fromEntries(columns.map((name, i) => [name, fields[i]])), task, source)
  }
  if (columns === undefined) throw new InvalidDataError(`${path}, line 1: no header; the first line names the columns; ${columnsOf(task).join(', ')} are read`)
}

/** Never more than a record and a chunk in memory. A line ends inside of a field if the quotes before its end are odd in number. */
async function * recordsOf (path: string): AsyncGenerator<CsvRecord> {
  let lines: string[] = []
  let begin = ''
  for await (const { text, source } of linesOf(path)) {
    const isOpen = lines.length > 0
    if (!isOpen && text.trim() === '') continue
    if (!isOpen) begin = source
    lines.push(text)
    const isOdd = text.split('"').length % 2 === 0
    if (isOpen !== isOdd) continue
    yield { fields: parseRecord(lines.join('\n'), begin), source: begin }
    lines = []
  }
  if (lines.length > 0) throw new InvalidDataError(`${begin}: a quote is opened and never closed`)
}

function parseRecord (record: string, source: string): readonly string[] {
  try {
    return parse(record.replace(/\r$/, ''), { record_delimiter: '\n' })[0]
  } catch (cause) {
    throw new InvalidDataError(`${source}: quotes stand around a whole field, and twice for one inside of it`, { cause })
  }
}
