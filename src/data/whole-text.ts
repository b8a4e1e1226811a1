import type { WholeText } from '../types.js'

export interface WholeTextOptions {
  /** As transformers' `tokenizer(text, text_pair, truncation=True, max_length=length)`. */
  readonly encodeWhole: (text: string, textPair: string | undefined, length: number) => WholeText
  /** Fills rows up, masked. */
  readonly padding: number
  /** The longest row, in tokens. */
  readonly length: number
}
