import { constants, isUtf8 } from 'node:buffer'
import { createReadStream, type Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { InvalidDataError } from '../errors.js'

/** Plain text, all of which is trained on; or a prompt with a completion, of which only the completion is. */
export type Document = {
  /** The file, and in a .jsonl file the line. */
  readonly source: string
} & (
  | { readonly kind: 'text', readonly text: string }
  | { readonly kind: 'completion', readonly prompt: string, readonly completion: string }
)

const EXTENSIONS = ['.txt', '.md', '.jsonl']
const ACCEPTED = `${EXTENSIONS.join(', ')} files, or folders of them`
const ACCEPTED_ROW = '{"text": "…"}, or {"prompt": "…", "completion": "…"} with a completion that is not empty'

const NEWLINE = 0x0a

/**
 * Reads what people train on: .txt and .md files (one text each), .jsonl files (one object a line with `text`, or with
 * `prompt` and `completion`; other keys are passed over), and folders of them, in the order of their names. Hidden
 * files, and node_modules, are passed over in a folder, not where they are named. A byte order mark is dropped, and
 * Windows' line ends in .txt and .md become `\n`, so that the same text is the same on every machine.
 *
 * @throws {InvalidDataError} naming file and line
 */
export async function * readDocuments (paths: readonly string[]): AsyncGenerator<Document> {
  if (paths.length === 0) throw new InvalidDataError(`no training data was named; use ${ACCEPTED}`)
  for (const path of paths) {
    const found = await stat(path).catch(refuseUnreadable(path))
    const files = found.isDirectory() ? await filesBelow(path) : [path]
    if (files.length === 0) throw new InvalidDataError(`${path}: nothing to read in this folder; use ${ACCEPTED}`)
    for (const file of files) yield * readOne(file)
  }
}

async function filesBelow (folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(refuseUnreadable(folder))
  const visible = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
  const sorted = visible.sort((a, b) => a.name < b.name ? -1 : 1)
  const nested = await Promise.all(sorted.map(async entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return await filesBelow(path)
    return isData(entry) ? [path] : []
  }))
  return nested.flat()
}

function isData (entry: Dirent): boolean {
  return (entry.isFile() || entry.isSymbolicLink()) && EXTENSIONS.includes(extensionOf(entry.name))
}

async function * readOne (path: string): AsyncGenerator<Document> {
  const extension = extensionOf(path)
  if (!EXTENSIONS.includes(extension)) {
    throw new InvalidDataError(`${path}: ${extension === '' ? 'a file without an extension' : extension} is not read; use ${ACCEPTED}`)
  }
  try {
    if (extension === '.jsonl') {
      yield * readRows(path)
    } else {
      yield await readText(path)
    }
  } catch (error) {
    if (isFileError(error)) refuseUnreadable(path)(error)
    throw error
  }
}

async function readText (path: string): Promise<Document> {
  const { size } = await stat(path)
  if (size > constants.MAX_STRING_LENGTH) {
    throw new InvalidDataError(`${path}: ${size} bytes; split it into files of at most ${constants.MAX_STRING_LENGTH}`)
  }
  const bytes = await readFile(path)
  if (!isUtf8(bytes)) throw notUtf8(`${path}, line ${firstBadLine(bytes)}`)
  return { kind: 'text', text: decode(bytes).replaceAll('\r\n', '\n'), source: path }
}

async function * readRows (path: string): AsyncGenerator<Document> {
  let number = 0
  for await (const bytes of linesOf(path)) {
    number++
    const source = `${path}, line ${number}`
    if (!isUtf8(bytes)) throw notUtf8(source)
    const line = decode(bytes)
    if (line.trim() !== '') yield parseRow(line, source)
  }
}

/** Line by line, without their ends: never more than a line and a chunk in memory. */
async function * linesOf (path: string): AsyncGenerator<Buffer> {
  let begun: Buffer[] = []
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let begin = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, begin)) {
      yield Buffer.concat([...begun, chunk.subarray(begin, end)])
      begun = []
      begin = end + 1
    }
    begun.push(chunk.subarray(begin))
  }
  yield Buffer.concat(begun)
}

function parseRow (line: string, source: string): Document {
  const row = parseJson(line, source)
  const { text, prompt, completion } = (typeof row === 'object' ? row ?? {} : {}) as Record<string, unknown>
  if (typeof text === 'string' && prompt === undefined && completion === undefined) return { kind: 'text', text, source }
  if (typeof prompt === 'string' && typeof completion === 'string' && completion !== '' && text === undefined) {
    return { kind: 'completion', prompt, completion, source }
  }
  throw new InvalidDataError(`${source}: a row is ${ACCEPTED_ROW}; this one is ${outline(row)}`)
}

function parseJson (line: string, source: string): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw new InvalidDataError(`${source}: not JSON (${(cause as Error).message}); a row is ${ACCEPTED_ROW}`, { cause })
  }
}

/** Shows what was refused without showing people's text. */
function outline (row: unknown): string {
  if (typeof row !== 'object' || row === null) return row === null ? 'null' : `a ${typeof row}`
  if (Array.isArray(row)) return 'an array'
  const keys = Object.entries(row).map(([key, value]) => `${key}: ${value === '' ? 'empty' : value === null ? 'null' : typeof value}`)
  return `{${keys.join(', ')}}`
}

/** UTF-8 without its byte order mark. */
function decode (bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes)
}

function notUtf8 (source: string): InvalidDataError {
  return new InvalidDataError(`${source}: not UTF-8; save the file as UTF-8 text`)
}

/** From 1. No character of UTF-8 has the newline's byte inside, so that one line or the other is to blame. */
function firstBadLine (bytes: Buffer): number {
  let line = 1
  for (let begin = 0; ; line++) {
    const end = bytes.indexOf(NEWLINE, begin)
    if (end === -1 || !isUtf8(bytes.subarray(begin, end))) return line
    begin = end + 1
  }
}

function extensionOf (path: string): string {
  return extname(path).toLowerCase()
}

function isFileError (error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

function refuseUnreadable (path: string): (cause: unknown) => never {
  return cause => {
    throw new InvalidDataError(`${path}: cannot be read (${(cause as Error).message}); use ${ACCEPTED}`, { cause })
  }
}
