/** Tokens of a text, or two, that a model takes whole, with the special tokens that it has around them. */
interface WholeText {
  readonly ids: readonly number[]
  /** Which of the texts a token is of. */
  readonly typeIds: readonly number[]
  /** Whether tokens were cut off. */
  readonly truncated: boolean
}

export interface WholeTextOptions {
  /** As transformers' `tokenizer(text, text_pair, truncation=True, max_length=length)`. */
  readonly encodeWhole: (text: string, textPair: string | undefined, length: number) => WholeText
  /** Fills rows up, masked. */
  readonly padding: number
  /** The longest row, in tokens. */
  readonly length: number
}
