import { InvalidModelError, InvalidOptionError } from '../errors.js'
import type { WholeText } from '../types.js'
import type { HuggingFaceTokenizer, Processed } from './package-tokenizer.js'

export interface WholeTextOptions {
  /** The most tokens, special ones included. */
  readonly length: number
  /** Whether texts lose tokens from their beginning. */
  readonly cutsLeft: boolean
}

/** A text, or two, see `Tokenizer.encodeWhole`. */
export function encodeWhole (tokenizer: HuggingFaceTokenizer, text: string, textPair: string, { length, cutsLeft }: WholeTextOptions): WholeText {
  const [first, second] = [text, textPair].map(part => tokenizer.encode(part, { add_special_tokens: false }).ids)
  const around = (own: number[], others: number[]): Pick<WholeText, 'ids' | 'typeIds'> => withSpecial(tokenizer, own, textPair === '' ? null : others)
  const room = length - around([], []).ids.length
  if (!(room >= 1)) throw new InvalidOptionError(`rows of ${length} tokens have room for special tokens alone; use a greater length`)
  const [own, others] = kept(first.length, second.length, room)
  const cut = (ids: number[], count: number): number[] => cutsLeft ? ids.slice(ids.length - count) : ids.slice(0, count)
  return { ...around(cut(first, own), cut(second, others)), truncated: own + others < first.length + second.length }
}

/** @param second null where there is no other text */
function withSpecial (tokenizer: HuggingFaceTokenizer, first: number[], second: number[] | null): Pick<WholeText, 'ids' | 'typeIds'> {
  const { tokens, tokens_pair: rest, token_type_ids: typeIds }: Processed = tokenizer.post_processor?.post_process(first, second, true) ?? { tokens: first, tokens_pair: second }
  const ids = [...tokens, ...rest ?? []].map(token => {
    const id = typeof token === 'number' ? token : tokenizer.token_to_id(token)
    if (id === undefined) throw new InvalidModelError(`tokenizer.json puts ${token} around texts, which is none of its tokens`)
    return id
  })
  return { ids, typeIds: typeIds ?? ids.map((_, i) => i < tokens.length ? 0 : 1) }
}

/**
 * How many tokens there is room for of each text: as `LongestFirst` of Hugging Face's `tokenizers`. Where both are cut and
 * the room is odd, the longer one keeps one more, or of equals the second; since 0.23 `tokenizers` may give it to the other,
 * since it counts a text no further than about the room.
 */
function kept (first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second]
  const shorter = Math.min(first, second, Math.floor(room / 2))
  return first > second ? [room - shorter, shorter] : [shorter, room - shorter]
}
