import { constants } from 'node:buffer'
import type { Dirent } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { InvalidDataError } from '../errors.js'
import { readCsv } from './csv.js'
import { acceptedRow, type Document, type TextTask } from './document.js'
import { readJsonl } from './jsonl.js'
import { decodeFile } from './lines.js'

const READERS: Readonly<Record<string, (path: string, task: TextTask) => AsyncIterable<Document>>> = {
  '.txt': readText,
  '.md': readText,
  '.jsonl': readJsonl,
  '.csv': readCsv,
  '.parquet': readParquet
}
const ACCEPTED = `${Object.keys(READERS).join(', ')} files, or folders of them`

/**
 * Reads what people train on: .txt and .md files (one text each); .jsonl files (one object a line), .csv and .parquet
 * files, whose rows have the columns of the task (others are passed over): `text`, or `prompt` and `completion`, or, but for
 * .csv, `messages`; `text`, `label` and, where there are two texts, `text_pair`; or `source` and `target`; and folders of
 * all these, in the order of their names. Hidden files, and node_modules, are passed over in a folder, not
 * where they are named. A byte order mark is dropped, and Windows' line ends in .txt and .md become `\n`, so that the
 * same text is the same on every machine.
 *
 * @throws {InvalidDataError} naming file, and line or row
 */
export async function * readDocuments (paths: readonly string[], task: TextTask): AsyncGenerator<Document> {
  if (paths.length === 0) throw new InvalidDataError(`no training data was named; use ${ACCEPTED}`)
  for (const path of paths) {
    const found = await stat(path).catch(refuseUnreadable(path))
    const files = found.isDirectory() ? await filesBelow(path) : [path]
    if (files.length === 0) throw new InvalidDataError(`${path}: nothing to read in this folder; use ${ACCEPTED}`)
    for (const file of files) yield * readOne(file, task)
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
  return (entry.isFile() || entry.isSymbolicLink()) && Object.hasOwn(READERS, extensionOf(entry.name))
}

async function * readOne (path: string, task: TextTask): AsyncGenerator<Document> {
  const extension = extensionOf(path)
  if (!Object.hasOwn(READERS, extension)) {
    throw new InvalidDataError(`${path}: ${extension === '' ? 'a file without an extension' : extension} is not read; use ${ACCEPTED}`)
  }
  try {
    yield * READERS[extension](path, task)
  } catch (error) {
    if (isFileError(error)) refuseUnreadable(path)(error)
    throw error
  }
}

async function * readText (path: string, task: TextTask): AsyncGenerator<Document> {
  if (task !== 'CAUSAL_LM') throw new InvalidDataError(`${path}: plain text does not say what is wanted of it; this model needs .jsonl, .csv or .parquet files with rows such as ${acceptedRow(task)}`)
  const { size } = await stat(path)
  if (size > constants.MAX_STRING_LENGTH) {
    throw new InvalidDataError(`${path}: ${size} bytes; split it into files of at most ${constants.MAX_STRING_LENGTH}`)
  }
  yield { kind: 'text', text: decodeFile(await readFile(path), path).replaceAll('\r\n', '\n'), source: path }
}

/** Its packages take a fifth of a second to load, which no other command is to wait for. */
async function * readParquet (path: string, task: TextTask): AsyncGenerator<Document> {
  const reader = await import('./parquet.js')
  yield * reader.readParquet(path, task)
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
