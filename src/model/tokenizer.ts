import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as huggingFace from '@huggingface/tokenizers'
import { InvalidModelError } from '../errors.js'

/** What we use of the package. Its own types import without file extensions, which `nodenext` does not resolve. */
interface HuggingFaceTokenizer {
  encode (text: string, options: { add_special_tokens: boolean }): { ids: number[] }
  token_to_id (token: string): number | undefined
}

const { Tokenizer: PackageTokenizer } = huggingFace as unknown as {
  Tokenizer: new (tokenizer: object, config: object) => HuggingFaceTokenizer
}

/** Text to tokens, as the base model was trained. */
export interface Tokenizer {
  /** Without special tokens around the text. */
  encode (text: string): number[]
  /** Stands between documents; undefined where the tokenizer has none. */
  readonly endOfText: number | undefined
}

/**
 * A tokenizer from the texts of `tokenizer.json` and, where there is one, `tokenizer_config.json`.
 *
 * @throws {InvalidModelError} if they do not describe one
 */
export function createTokenizer (tokenizerJson: string, configJson = '{}'): Tokenizer {
  let tokenizer: HuggingFaceTokenizer
  let config: { eos_token?: string | { content: string } }
  try {
    config = JSON.parse(configJson) as typeof config
    tokenizer = new PackageTokenizer(JSON.parse(tokenizerJson) as object, config)
  } catch (cause) {
    throw new InvalidModelError('tokenizer.json does not describe a tokenizer that we know', { cause })
  }
  const eos = typeof config.eos_token === 'object' ? config.eos_token.content : config.eos_token
  return {
    encode: text => tokenizer.encode(text, { add_special_tokens: false }).ids,
    endOfText: tokenizer.token_to_id(eos ?? '<|endoftext|>')
  }
}

/** The tokenizer of a model's folder. @throws {InvalidModelError} if there is none that we know */
export async function loadTokenizer (folder: string): Promise<Tokenizer> {
  const path = join(folder, 'tokenizer.json')
  const json = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new InvalidModelError(`${path} cannot be read; text needs the model's tokenizer.json`, { cause })
  })
  const config = await readFile(join(folder, 'tokenizer_config.json'), 'utf8').catch(() => undefined)
  return createTokenizer(json, config)
}
