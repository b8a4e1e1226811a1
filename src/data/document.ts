import { InvalidDataError } from '../errors.js'
import type { Task } from '../types.js'
import { type Message, parseMessages } from './messages.js'

/**
 * Plain text, all of which is trained on; a prompt with a completion, of which only the completion is; a conversation, of
 * which only the assistant's answers are; a text, or two, with a label; or a text with another that shall come of it.
 */
export type Document = {
  /** The file, and in it the line or the row, where it has several. */
  readonly source: string
} & (
  | { readonly kind: 'text', readonly text: string }
  | { readonly kind: 'completion', readonly prompt: string, readonly completion: string }
  | { readonly kind: 'conversation', readonly messages: readonly Message[] }
  | LabelledText
  | Translation
)

interface LabelledText {
  readonly kind: 'labelled'
  readonly text: string
  /** Undefined where there is none, or nothing in it. */
  readonly textPair: string | undefined
  /** A name, an index or a number, as it was read. */
  readonly label: string | number
}

interface Translation {
  readonly kind: 'translation'
  readonly text: string
  readonly target: string
}

/** A task whose data are rows of text. */
export type TextTask = Exclude<Task, 'IMAGE_CLS'>

/** What rows are for one task. */
interface RowForm {
  /** Sets of columns, any of which makes a row. */
  readonly kinds: ReadonlyArray<readonly string[]>
  /** Other columns that are read. */
  readonly optional: readonly string[]
  readonly accepted: string
  /** Undefined if it is none of the kinds. */
  readonly parse: (row: Readonly<Record<string, unknown>>, source: string) => Document | undefined
}

const FORMS: Readonly<Record<TextTask, RowForm>> = {
  CAUSAL_LM: {
    kinds: [['text'], ['prompt', 'completion'], ['messages']],
    optional: [],
    accepted: '{"text": "…"}, {"prompt": "…", "completion": "…"} with a completion that is not empty, or {"messages": […]}',
    parse: parseCausal
  },
  SEQ_CLS: {
    kinds: [['text', 'label']],
    optional: ['text_pair'],
    accepted: '{"text": "…", "label": …} with a class or a number, or {"text": "…", "text_pair": "…", "label": …}',
    parse: parseLabelled
  },
  SEQ_2_SEQ_LM: {
    kinds: [['source', 'target']],
    optional: [],
    accepted: '{"source": "…", "target": "…"} with a target that is not empty',
    parse: ({ source, target }, place) => typeof source === 'string' && typeof target === 'string' && target !== ''
      ? { kind: 'translation', text: source, target, source: place }
      : undefined
  }
}

/** What is shown at most of names of columns: where the header is missing they are somebody's text. */
const SHOWN_CHARACTERS = 100

/** Columns that are read for a task; others are passed over. */
export function columnsOf (task: TextTask): readonly string[] {
  const { kinds, optional } = FORMS[task]
  return [...kinds.flat(), ...optional]
}

/** Shows what a row is for a task. */
export function acceptedRow (task: TextTask): string {
  return FORMS[task].accepted
}

/**
 * What a row says. Null is taken for missing: a table has no other way to say so.
 *
 * @param row of a table, or a line's JSON
 * @throws {InvalidDataError} naming the source, if it is none of the task's kinds, or of two at once
 */
export function toDocument (row: unknown, task: TextTask, source: string): Document {
  const { parse, accepted } = FORMS[task]
  const document = parse((typeof row === 'object' ? row ?? {} : {}) as Record<string, unknown>, source)
  if (document === undefined) throw new InvalidDataError(`${source}: a row is ${accepted}; this one is ${outline(row)}`)
  return document
}

/**
 * Says what is missing from a whole table, before any of its rows is read.
 *
 * @throws {InvalidDataError} naming the source
 */
export function checkColumns (names: readonly string[], task: TextTask, source: string): void {
  const { kinds } = FORMS[task]
  const columns = columnsOf(task)
  const shown = names.join(', ')
  const twice = names.find((name, i) => columns.includes(name) && names.indexOf(name) !== i)
  if (twice !== undefined) throw new InvalidDataError(`${source}: two columns are named ${twice}`)
  if (!kinds.some(kind => kind.every(name => names.includes(name)))) {
    const needed = kinds.map(kind => kind.length === 1 ? `a column ${kind[0]}` : `columns ${kind.join(' and ')}`)
    const listed = needed.length === 1 ? needed[0] : `${needed.slice(0, -1).join(', ')}, or ${needed[needed.length - 1]}`
    throw new InvalidDataError(`${source}: ${listed} are needed; the columns are ${shown.length > SHOWN_CHARACTERS ? `${shown.slice(0, SHOWN_CHARACTERS)}…` : shown}`)
  }
}

/** A `prompt` beside `messages` is passed over, since published conversations often repeat the first question there. */
function parseCausal ({ text, prompt, completion, messages }: Readonly<Record<string, unknown>>, source: string): Document | undefined {
  if (typeof text === 'string' && prompt == null && completion == null && messages == null) return { kind: 'text', text, source }
  if (typeof prompt === 'string' && typeof completion === 'string' && completion !== '' && text == null && messages == null) {
    return { kind: 'completion', prompt, completion, source }
  }
  if (messages != null && text == null && completion == null) return { kind: 'conversation', messages: parseMessages(messages, source), source }
  return undefined
}

function parseLabelled ({ text, text_pair: textPair, label: given }: Readonly<Record<string, unknown>>, source: string): Document | undefined {
  const label = typeof given === 'bigint' || typeof given === 'boolean' ? Number(given) : given
  if (typeof text !== 'string' || (textPair != null && typeof textPair !== 'string')) return undefined
  if (!(typeof label === 'string' && label !== '') && !(typeof label === 'number' && Number.isFinite(label))) return undefined
  return { kind: 'labelled', text, textPair: textPair == null || textPair === '' ? undefined : textPair, label, source }
}

/** Shows what was refused without showing people's text. */
function outline (row: unknown): string {
  if (typeof row !== 'object' || row === null) return row === null ? 'null' : `a ${typeof row}`
  if (Array.isArray(row)) return 'an array'
  const keys = Object.entries(row).map(([key, value]) => `${key}: ${value === '' ? 'empty' : value === null ? 'null' : typeof value}`)
  return `{${keys.join(', ')}}`
}
