import { InvalidDataError } from '../errors.js'
import { type Message, parseMessages } from './messages.js'

/**
 * Plain text, all of which is trained on; a prompt with a completion, of which only the completion is; or a
 * conversation, of which only the assistant's answers are.
 */
export type Document = {
  /** The file, and in it the line or the row, where it has several. */
  readonly source: string
} & (
  | { readonly kind: 'text', readonly text: string }
  | { readonly kind: 'completion', readonly prompt: string, readonly completion: string }
  | { readonly kind: 'conversation', readonly messages: readonly Message[] }
)

/** Sets of columns, any of which makes a row. */
const KINDS = [['text'], ['prompt', 'completion'], ['messages']]

/** Columns that are read; others are passed over. */
export const COLUMNS = KINDS.flat()

export const ACCEPTED_ROW = '{"text": "…"}, {"prompt": "…", "completion": "…"} with a completion that is not empty, or {"messages": […]}'

/** What is shown at most of names of columns: where the header is missing they are somebody's text. */
const SHOWN_CHARACTERS = 100

/**
 * What a row says. Null is taken for missing: a table has no other way to say so. A `prompt` beside `messages` is passed
 * over, since published conversations often repeat the first question there.
 *
 * @param row of a table, or a line's JSON
 * @throws {InvalidDataError} naming the source, if it is none of the kinds, or of two at once
 */
export function toDocument (row: unknown, source: string): Document {
  const { text, prompt, completion, messages } = (typeof row === 'object' ? row ?? {} : {}) as Record<string, unknown>
  if (typeof text === 'string' && prompt == null && completion == null && messages == null) return { kind: 'text', text, source }
  if (typeof prompt === 'string' && typeof completion === 'string' && completion !== '' && text == null && messages == null) {
    return { kind: 'completion', prompt, completion, source }
  }
  if (messages != null && text == null && completion == null) return { kind: 'conversation', messages: parseMessages(messages, source), source }
  throw new InvalidDataError(`${source}: a row is ${ACCEPTED_ROW}; this one is ${outline(row)}`)
}

/**
 * Says what is missing from a whole table, before any of its rows is read.
 *
 * @throws {InvalidDataError} naming the source
 */
export function checkColumns (names: readonly string[], source: string): void {
  const shown = names.join(', ')
  const twice = names.find((name, i) => COLUMNS.includes(name) && names.indexOf(name) !== i)
  if (twice !== undefined) throw new InvalidDataError(`${source}: two columns are named ${twice}`)
  if (!KINDS.some(kind => kind.every(name => names.includes(name)))) {
    throw new InvalidDataError(`${source}: a column text, columns prompt and completion, or a column messages are needed; the columns are ${shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}…` : shown}`)
  }
}

/** Shows what was refused without showing people's text. */
function outline (row: unknown): string {
  if (typeof row !== 'object' || row === null) return row === null ? 'null' : `a ${typeof row}`
  if (Array.isArray(row)) return 'an array'
  const keys = Object.entries(row).map(([key, value]) => `${key}: ${value === '' ? 'empty' : value === null ? 'null' : typeof value}`)
  return `{${keys.join(', ')}}`
}
