import { InvalidDataError, InvalidOptionError } from '../errors.js'
import type { RenderChat } from '../types.js'
import { turnsOf } from './conversation.js'
import type { Message } from './messages.js'

/** Tokens from `begin` to before `end`. */
export interface Span {
  readonly begin: number
  readonly end: number
}

/** Tokens of one row, and which of them carry loss: spans in order, none of them empty. */
export interface EncodedRow {
  readonly ids: Int32Array
  readonly spans: readonly Span[]
}

export interface RowOptions {
  /** Tokens of a text, without any that the tokenizer would add around it. */
  readonly encode: (text: string) => number[]
  /** The model's chat template; undefined where it has none. */
  readonly render?: RenderChat | undefined
  /** Stands after every text and completion; undefined where the tokenizer has none. */
  readonly endOfText: number | undefined
  /** The longest row, in tokens. */
  readonly length: number
}

/** What is asked, which carries no loss, and the answer, which does. */
interface EncodedTurn {
  readonly asked: readonly number[]
  readonly answer: readonly number[]
}

/** Fewer tokens predict nothing. */
const MIN_TOKENS = 2

/**
 * Makes rows of tokens. Texts are packed: joined, each followed by the end-of-text token, and cut into rows of exactly
 * `length`; only the last is shorter. A prompt with its completion is a row of its own, and so is a conversation; where
 * that is too long, it loses tokens from its beginning, up to the last answer, and only then that answer from its end.
 */
export class PackedRows {
  readonly #options: RowOptions
  readonly #rows: EncodedRow[] = []
  #packed: number[] = []
  #truncated = 0

  /** @throws {InvalidOptionError} if the length is not a whole number from 2 */
  constructor (options: RowOptions) {
    const { length } = options
    if (!Number.isSafeInteger(length) || length < 2) throw new InvalidOptionError(`rows of ${length} tokens are not possible; use a whole number from 2`)
    this.#options = options
  }

  /** Completions and conversations that lost tokens of their answers because they are longer than a row. */
  get truncated (): number {
    return this.#truncated
  }

  addText (text: string): void {
    this.#pack(this.#options.encode(text))
  }

  endText (): void {
    this.#pack(this.#ended([]))
  }

  addCompletion (prompt: string, completion: string): void {
    const { encode } = this.#options
    this.#addTurns([{ asked: encode(prompt), answer: this.#ended(encode(completion)) }])
  }

  /**
   * Each stretch is tokenised by itself, as it is when the model is asked. The template says what ends an answer.
   *
   * @param source where the conversation is from
   * @throws {InvalidDataError} naming the source, if the model has no chat template, or not one for this conversation
   */
  addConversation (messages: readonly Message[], source: string): void {
    const { encode, render } = this.#options
    if (render === undefined) {
      throw new InvalidDataError(`${source}: messages need a chat template, and this model's tokenizer_config.json has no chat_template; use the model's variant for conversations, copy the template from there, or use rows with prompt and completion`)
    }
    this.#addTurns(turnsOf(messages, render, source).map(({ asked, answer }) => ({ asked: encode(asked), answer: encode(answer) })))
  }

  /** All rows. Nothing can be added afterwards. */
  finish (): readonly EncodedRow[] {
    this.#push(this.#packed, [{ begin: 0, end: this.#packed.length }])
    return this.#rows
  }

  #pack (ids: readonly number[]): void {
    for (const id of ids) {
      this.#packed.push(id)
      if (this.#packed.length === this.#options.length) {
        this.#push(this.#packed, [{ begin: 0, end: this.#packed.length }])
        this.#packed = []
      }
    }
  }

  #addTurns (turns: readonly EncodedTurn[]): void {
    const ids: number[] = []
    const spans: Span[] = []
    for (const { asked, answer } of turns) {
      for (const id of asked) ids.push(id)
      const begin = ids.length
      for (const id of answer) ids.push(id)
      if (ids.length > begin) spans.push({ begin, end: ids.length })
    }
    if (spans.length === 0) return
    const { length } = this.#options
    const from = Math.max(0, Math.min(ids.length - length, spans[spans.length - 1].begin))
    const to = Math.min(ids.length, from + length)
    if (spans[0].begin < from || to < ids.length) this.#truncated++
    const kept = spans.filter(({ end }) => end > from).map(({ begin, end }) => ({ begin: Math.max(begin, from) - from, end: Math.min(end, to) - from }))
    this.#push(ids.slice(from, to), kept)
  }

  #push (ids: readonly number[], spans: readonly Span[]): void {
    if (ids.length >= MIN_TOKENS) this.#rows.push({ ids: Int32Array.from(ids), spans })
  }

  #ended (ids: readonly number[]): readonly number[] {
    const { endOfText } = this.#options
    return endOfText === undefined ? ids : [...ids, endOfText]
  }
}
