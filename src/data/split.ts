import { setImmediate as turn } from 'node:timers/promises'
import type { Document } from './document.js'
import { limitFor, placeOf } from './held-out.js'

/** Texts are told apart in segments of about this many characters, which end with a line. */
const SEGMENT_CHARACTERS = 2048

/** A segment whose line does not end before this many characters ends with a word, or in the midst of one. */
const LONGEST_SEGMENT = 4 * SEGMENT_CHARACTERS

/** Neighbouring segments are joined up to this many characters: what is tokenised at once, in about ten milliseconds. */
const PART_CHARACTERS = LONGEST_SEGMENT

/** Segments that are cut and hashed before other work of the process gets its turn: about ten milliseconds. */
const SEGMENTS_PER_TURN = 1024

/** A stretch of text in parts that follow one another, or a record as it was read. */
export type Example =
  | { readonly kind: 'text', readonly parts: readonly string[] }
  | Exclude<Document, { readonly kind: 'text' }>

/** What is trained on, and what is kept for evaluation, both in the order of the documents. */
export interface Sides {
  readonly train: readonly Example[]
  readonly heldOut: readonly Example[]
}

/** A segment of a text, or a whole record. */
interface Segment {
  readonly document: Document
  readonly text: string
  /** In [0, 1): a hash of the content. */
  readonly place: number
}

/**
 * Holds a share of the data out by the hash of the content: the same content always falls on the same side, also when
 * more is added around it. Neighbouring segments of a text on the same side stay one stretch. If there are two different
 * contents at all, neither side is empty; one alone is trained on.
 *
 * @param share of the data that is held out, from 0 (nothing) to below 1
 */
export async function split (documents: Iterable<Document>, share: number): Promise<Sides> {
  const segments: Segment[] = []
  for (const segment of cut(documents)) {
    segments.push(segment)
    if (segments.length % SEGMENTS_PER_TURN === 0) await turn()
  }
  const limit = limitFor(segments, share)
  return {
    train: joined(segments, ({ place }) => place >= limit),
    heldOut: joined(segments, ({ place }) => place < limit)
  }
}

function joined (segments: readonly Segment[], isOurs: (segment: Segment) => boolean): Example[] {
  const examples: Example[] = []
  let stretch: { readonly document: Document, readonly parts: string[] } | undefined
  for (const segment of segments) {
    const { document, text } = segment
    if (!isOurs(segment)) {
      stretch = undefined
    } else if (document.kind !== 'text') {
      examples.push(document)
    } else if (stretch?.document === document) {
      append(stretch.parts, text)
    } else {
      stretch = { document, parts: [text] }
      examples.push({ kind: 'text', parts: stretch.parts })
    }
  }
  return examples
}

function append (parts: string[], text: string): void {
  const last = parts[parts.length - 1]
  if (last.length + text.length > PART_CHARACTERS) {
    parts.push(text)
  } else {
    parts[parts.length - 1] = last + text
  }
}

function * cut (documents: Iterable<Document>): Generator<Segment> {
  for (const document of documents) {
    if (document.kind !== 'text') {
      yield { document, text: '', place: placeOf(contentOf(document)) }
      continue
    }
    for (let begin = 0, end = 0; begin < document.text.length; begin = end) {
      end = begin + segmentLength(document.text.slice(begin, begin + LONGEST_SEGMENT))
      const text = document.text.slice(begin, end)
      yield { document, text, place: placeOf(text) }
    }
  }
}

function contentOf (record: Exclude<Document, { readonly kind: 'text' }>): string {
  switch (record.kind) {
    case 'completion': return `${record.prompt}\0${record.completion}`
    case 'conversation': return JSON.stringify(record.messages)
    case 'labelled': return JSON.stringify([record.text, record.textPair])
    case 'translation': return `${record.text}\0${record.target}`
  }
}

/** Depends on nothing that follows but for the last segment of a text, so that appending to a file moves no other. */
function segmentLength (ahead: string): number {
  const newline = ahead.indexOf('\n', SEGMENT_CHARACTERS - 1)
  if (newline !== -1) return newline + 1
  if (ahead.length < LONGEST_SEGMENT) return ahead.length
  const space = ahead.indexOf(' ', SEGMENT_CHARACTERS)
  if (space !== -1) return space
  return isHighSurrogate(ahead.charCodeAt(LONGEST_SEGMENT - 1)) ? LONGEST_SEGMENT - 1 : LONGEST_SEGMENT
}

/** The first half of a character outside Unicode's basic plane, which must not be cut from its second. */
function isHighSurrogate (unit: number): boolean {
  return unit >= 0xd800 && unit < 0xdc00
}
