import type { WholeTextOptions } from '../../src/data/whole-text.js'

/** What stands around texts that are encoded here. */
export const BEGIN = 1
export const BETWEEN = 2

/** One token a character, its code, with a token before, one after each text, and a kind for each. */
export const encodeWhole: WholeTextOptions['encodeWhole'] = (text, textPair, length) => {
  const codes = (part: string): number[] => Array.from(part, character => character.codePointAt(0)!)
  const first = [BEGIN, ...codes(text), BETWEEN]
  const second = textPair === undefined ? [] : [...codes(textPair), BETWEEN]
  const ids = [...first, ...second]
  const typeIds = ids.map((_, i) => i < first.length ? 0 : 1)
  return { ids: ids.slice(0, length), typeIds: typeIds.slice(0, length), truncated: ids.length > length }
}
