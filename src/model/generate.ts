import { createHash } from 'node:crypto'
import { InvalidOptionError } from '../errors.js'
import type { Decoder } from './decoder.js'

export interface GenerateOptions {
  /** Tokens that are made at most. */
  readonly maxNewTokens: number
  /** The text ends with one of these. @default none */
  readonly endTokens?: readonly number[]
  /** Scores are divided by it before one is drawn; 0 takes the highest. @default 0 */
  readonly temperature?: number
  /** One is drawn of the likeliest that together have this probability. @default 1: of all */
  readonly topP?: number
  /** The one that comes after a single token, whatever the scores say. @default what they say */
  readonly firstToken?: number
  /** The last of `maxNewTokens`, whatever the scores say. @default what they say */
  readonly lastToken?: number
  /** No sequence of so many tokens comes twice. @default 0: any may */
  readonly noRepeatNgramSize?: number
  /** What is drawn. @default 0 */
  readonly seed?: number
  readonly signal?: AbortSignal
}

/**
 * Continues a text or answers it, as transformers' `generate` does: greedily, or by drawing from the likeliest (nucleus
 * sampling, arXiv 1904.09751). Ends with an end token, which is given too, or where the network's positions end.
 *
 * @param decoder that has taken nothing yet
 * @throws {InvalidOptionError} if an option makes no sense
 * @throws {InvalidBatchError} if the prompt is empty, or longer than the network
 */
export async function * generate (decoder: Decoder, prompt: readonly number[], options: GenerateOptions): AsyncGenerator<number> {
  checkOptions(options)
  const { maxNewTokens, endTokens = [], noRepeatNgramSize = 0, seed = 0, signal } = options
  let scores = await decoder.begin(prompt)
  const ids = [...decoder.ids]
  for (let count = 1; count <= maxNewTokens; count++) {
    signal?.throwIfAborted()
    for (const id of repeated(ids, noRepeatNgramSize)) scores[id] = -Infinity
    const id = forced(ids.length, count, options) ?? choose(scores, options, () => uniform(seed, count))
    ids.push(id)
    yield id
    if (count === maxNewTokens || endTokens.includes(id) || decoder.ids.length === decoder.positions) return
    scores = await decoder.next(id)
  }
}

function checkOptions ({ maxNewTokens, temperature = 0, topP = 1, noRepeatNgramSize = 0 }: GenerateOptions): void {
  if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) throw new InvalidOptionError(`${maxNewTokens} new tokens are not possible; use a whole number from 1`)
  if (!(temperature >= 0 && temperature < Infinity)) throw new InvalidOptionError(`temperature ${temperature} is not possible; use a number from 0`)
  if (!(topP > 0 && topP <= 1)) throw new InvalidOptionError(`top-p ${topP} is not possible; use a number above 0, at most 1`)
  if (!Number.isSafeInteger(noRepeatNgramSize) || noRepeatNgramSize < 0) throw new InvalidOptionError(`sequences of ${noRepeatNgramSize} tokens are not possible; use a whole number from 0`)
}

/** @param before tokens that are there */
function forced (before: number, count: number, { maxNewTokens, firstToken, lastToken }: GenerateOptions): number | undefined {
  if (count === maxNewTokens && lastToken !== undefined) return lastToken
  return before === 1 ? firstToken : undefined
}

/** Tokens that would end a sequence of `size` that was there already. */
function * repeated (ids: readonly number[], size: number): Generator<number> {
  if (size === 0 || ids.length < size) return
  const latest = ids.slice(ids.length - size + 1).join()
  for (let begin = 0; begin + size <= ids.length; begin++) {
    if (ids.slice(begin, begin + size - 1).join() === latest) yield ids[begin + size - 1]
  }
}

/** @param draw a number from 0 to below 1 */
function choose (scores: Float32Array, { temperature = 0, topP = 1 }: GenerateOptions, draw: () => number): number {
  if (temperature === 0) return scores.indexOf(highestOf(scores))
  const highest = highestOf(scores)
  const weights = Float64Array.from(scores, score => Math.exp((score - highest) / temperature))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a])
  const kept: number[] = []
  let share = 0
  for (const id of order) {
    kept.push(id)
    share += weights[id] / total
    if (share >= topP) break
  }
  let left = draw() * share
  for (const id of kept) {
    left -= weights[id] / total
    if (left < 0) return id
  }
  return kept[0] // no weight was left but by rounding
}

function highestOf (scores: Float32Array): number {
  return scores.reduce((highest, score) => Math.max(highest, score), -Infinity)
}

/** The same on every machine. */
function uniform (seed: number, count: number): number {
  return createHash('sha256').update(`${seed}:${count}`).digest().readUInt32LE() / 2 ** 32
}
