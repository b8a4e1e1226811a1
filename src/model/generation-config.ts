import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { InvalidModelError } from '../errors.js'
import type { GenerateOptions } from './generate.js'

/** transformers reads the second only where the first is not there. */
const FILES = ['generation_config.json', 'config.json']

const token = z.number().int().nonnegative()
const tokens = z.union([token.transform(id => [id]), z.array(token).min(1)])

const generationConfig = z.object({
  eos_token_id: tokens.nullish(),
  forced_bos_token_id: token.nullish(),
  forced_eos_token_id: tokens.nullish(),
  no_repeat_ngram_size: z.number().int().nonnegative().nullish()
})

/** What of `GenerateOptions` a model's folder says. */
export type GenerationConfig = Pick<GenerateOptions, 'endTokens' | 'firstToken' | 'lastToken' | 'noRepeatNgramSize'>

/**
 * How a model's own folder says that its texts end, which tokens are forced, and how long a sequence comes but once. It may
 * say more, of which nothing is taken: beams, lengths, penalties, and how tokens are drawn.
 *
 * @throws {InvalidModelError} if it says what is not possible
 */
export async function readGenerationConfig (folder: string): Promise<GenerationConfig> {
  for (const name of FILES) {
    const path = join(folder, name)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text !== undefined) return parse(path, text)
  }
  return {}
}

function parse (path: string, text: string): GenerationConfig {
  try {
    const { eos_token_id: ends, forced_bos_token_id: first, forced_eos_token_id: last, no_repeat_ngram_size: size } = generationConfig.parse(JSON.parse(text))
    return {
      ...(ends == null ? {} : { endTokens: ends }),
      ...(first == null ? {} : { firstToken: first }),
      ...(last == null ? {} : { lastToken: Math.min(...last) }), // to transformers all of them are alike, and the first the highest
      ...(size == null ? {} : { noRepeatNgramSize: size })
    }
  } catch (cause) {
    throw new InvalidModelError(`${path}: ${cause instanceof z.ZodError ? z.prettifyError(cause) : 'it is not JSON'}`, { cause })
  }
}
