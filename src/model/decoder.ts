import { InvalidBatchError } from '../errors.js'
import type { NamedTensors } from '../types.js'
import type { NetworkInfo } from './network.js'

/** One text that grows token by token. */
export interface Decoder {
  /** Tokens of the text so far. */
  readonly ids: readonly number[]

  /** The most that there may be. */
  readonly positions: number

  /**
   * Takes a prompt: the tokens that come first, or the text of which this one is made.
   *
   * @returns scores of the token that follows, `[vocabulary]`
   * @throws {InvalidBatchError} if the prompt is empty, or longer than the network has positions, or has a token that the network has not
   */
  begin (prompt: readonly number[]): Promise<Float32Array>

  /** Takes one more token. Returns and throws as `begin` does. */
  next (id: number): Promise<Float32Array>
}

/** The output of a step that has the scores. */
export const SCORES = 'scores'

export function scoresOf (results: NamedTensors<Float32Array>): Float32Array {
  return results.get(SCORES)?.values ?? new Float32Array()
}

/**
 * Checks tokens that come after others.
 *
 * @throws {InvalidBatchError} if there are none, or one that the network has not, or more in all than it has positions
 */
export function checkIds (ids: readonly number[], { positions, vocabSize }: NetworkInfo, before = 0): void {
  const unknown = ids.find(id => !Number.isSafeInteger(id) || id < 0 || id >= vocabSize)
  if (unknown !== undefined) throw new InvalidBatchError(`token ${unknown}; this model has 0 to ${vocabSize - 1}`)
  if (ids.length === 0) throw new InvalidBatchError('there is no token to begin with')
  const after = before + ids.length
  if (after > positions) throw new InvalidBatchError(`${after} tokens; this model has ${positions} positions`)
}
