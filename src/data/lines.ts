import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { InvalidDataError } from '../errors.js'

const NEWLINE = 0x0a

export interface Line {
  /** Without `\n`, and without a byte order mark. */
  readonly text: string
  /** The file and the line, from 1. */
  readonly source: string
}

/**
 * Line by line: never more than a line and a chunk in memory. What follows the last line end is a line, be it empty.
 *
 * @throws {InvalidDataError} naming file and line, if that is not UTF-8
 */
export async function * linesOf (path: string): AsyncGenerator<Line> {
  let number = 0
  for await (const bytes of byteLinesOf(path)) {
    const source = `${path}, line ${++number}`
    if (!isUtf8(bytes)) throw notUtf8(source)
    yield { text: decode(bytes), source }
  }
}

/**
 * UTF-8 without its byte order mark.
 *
 * @throws {InvalidDataError} naming file and line, if it is not UTF-8
 */
export function decodeFile (bytes: Buffer, path: string): string {
  if (!isUtf8(bytes)) throw notUtf8(`${path}, line ${firstBadLine(bytes)}`)
  return decode(bytes)
}

async function * byteLinesOf (path: string): AsyncGenerator<Buffer> {
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
