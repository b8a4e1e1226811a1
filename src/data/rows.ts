/** Tokens of one row, and how many of its first are a prompt, which carries no loss. */
export interface EncodedRow {
  readonly ids: Int32Array
  readonly promptLength: number
}

export interface RowOptions {
  /** Tokens of a text, without any that the tokenizer would add around it. */
  readonly encode: (text: string) => number[]
  /** Stands after every text and completion; undefined where the tokenizer has none. */
  readonly endOfText: number | undefined
  /** The longest row, in tokens. */
  readonly length: number
}

/** Fewer tokens predict nothing. */
const MIN_TOKENS = 2

/**
 * Makes rows of tokens. Texts are packed: joined, each followed by the end-of-text token, and cut into rows of exactly
 * `length`; only the last is shorter. A prompt with its completion is a row of its own; where that is too long, the
 * prompt loses tokens from its beginning, and only then the completion from its end.
 */
export class RowMaker {
  readonly #options: RowOptions
  readonly #rows: EncodedRow[] = []
  #packed: number[] = []
  #truncated = 0

  constructor (options: RowOptions) {
    this.#options = options
  }

  /** Completions that were too long for a row even without their prompt. */
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
    const { encode, length } = this.#options
    const answer = this.#ended(encode(completion))
    if (answer.length > length) this.#truncated++
    const kept = answer.slice(0, length)
    const question = encode(prompt)
    const shown = question.slice(Math.max(0, question.length - (length - kept.length)))
    if (kept.length > 0) this.#push([...shown, ...kept], shown.length)
  }

  /** All rows. Nothing can be added afterwards. */
  finish (): readonly EncodedRow[] {
    this.#push(this.#packed, 0)
    return this.#rows
  }

  #pack (ids: readonly number[]): void {
    for (const id of ids) {
      this.#packed.push(id)
      if (this.#packed.length === this.#options.length) {
        this.#push(this.#packed, 0)
        this.#packed = []
      }
    }
  }

  #push (ids: readonly number[], promptLength: number): void {
    if (ids.length >= MIN_TOKENS) this.#rows.push({ ids: Int32Array.from(ids), promptLength })
  }

  #ended (ids: readonly number[]): readonly number[] {
    const { endOfText } = this.#options
    return endOfText === undefined ? ids : [...ids, endOfText]
  }
}
