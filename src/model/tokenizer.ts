import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidModelError } from '../errors.js'
import type { RenderChat } from '../types.js'
import { type ChatConfig, createChatTemplate } from './chat-template.js'
import { type HuggingFaceTokenizer, openPackageTokenizer, type TokenizerConfig } from './package-tokenizer.js'

/** Text to tokens, as the base model was trained, and back. */
export interface Tokenizer {
  /** With the special tokens that the model has around a text only where they are asked for. */
  encode (text: string, options?: { addSpecialTokens?: boolean }): number[]
  /** Tokens to text. Ids that the tokenizer has not are left out. */
  decode (ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string
  /** Stands between documents; undefined where the tokenizer has none. */
  readonly endOfText: number | undefined
  /** Conversations to text; undefined where the model has no chat template. */
  readonly render: RenderChat | undefined
}

/**
 * A tokenizer from the texts of `tokenizer.json` and, where there are, `tokenizer_config.json` and `chat_template.jinja`.
 *
 * @throws {InvalidModelError} if they do not describe one
 */
export function createTokenizer (tokenizerJson: string, configJson = '{}', chatTemplate?: string): Tokenizer {
  let tokenizer: HuggingFaceTokenizer
  let config: ChatConfig & { eos_token?: string | { content: string }, clean_up_tokenization_spaces?: boolean }
  let cleanUp: boolean
  try {
    config = JSON.parse(configJson) as typeof config
    const described = JSON.parse(tokenizerJson) as TokenizerConfig
    tokenizer = openPackageTokenizer(described, config)
    cleanUp = config.clean_up_tokenization_spaces === true && described.model.type !== 'BPE' // as transformers 5: it harms what BPE decodes
  } catch (cause) {
    throw new InvalidModelError('tokenizer.json does not describe a tokenizer that we know', { cause })
  }
  const eos = typeof config.eos_token === 'object' ? config.eos_token.content : config.eos_token
  return {
    encode: (text, { addSpecialTokens = false } = {}) => tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode: (ids, { skipSpecialTokens = false } = {}) => {
      const known = ids.filter(id => tokenizer.id_to_token(id) !== undefined)
      if (known.length === 0) return '' // the package throws
      return tokenizer.decode(known, { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: cleanUp })
    },
    endOfText: tokenizer.token_to_id(eos ?? '<|endoftext|>'),
    render: createChatTemplate(config, chatTemplate)
  }
}

/** The tokenizer of a model's folder. @throws {InvalidModelError} if there is none that we know */
export async function loadTokenizer (folder: string): Promise<Tokenizer> {
  const path = join(folder, 'tokenizer.json')
  const json = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new InvalidModelError(`${path} cannot be read; text needs the model's tokenizer.json`, { cause })
  })
  const [config, chatTemplate] = await Promise.all(['tokenizer_config.json', 'chat_template.jinja'].map(async name =>
    await readFile(join(folder, name), 'utf8').catch(() => undefined)))
  return createTokenizer(json, config, chatTemplate)
}
