import { InvalidDataError } from '../errors.js'
import { acceptedRow, type Document, type TextTask, toDocument } from './document.js'
import { linesOf } from './lines.js'

/**
 * One JSON object a line; empty lines are passed over.
 *
 * @throws {InvalidDataError} naming file and line
 */
export async function * readJsonl (path: string, task: TextTask): AsyncGenerator<Document> {
  for await (const { text, source } of linesOf(path)) {
    if (text.trim() !== '') yield toDocument(parseJson(text, task, source), task, source)
  }
}

function parseJson (line: string, task: TextTask, source: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new InvalidDataError(`${source}: not JSON (${(cause as Error).message}); a row is ${acceptedRow(task)}`, { cause })
  }
}
