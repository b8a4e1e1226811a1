import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidModelError } from '../errors.js'
import type { RenderChat, WholeText } from '../types.js'
import { type ChatConfig, createChatTemplate } from './chat-template.js'
import { type HuggingFaceTokenizer, openPackageTokenizer, type TokenizerConfig } from './package-tokenizer.js'
import { encodeWhole } from './whole-text.js'

/** As tokenizer_config.json has it. */
type SpecialToken = string | { readonly content: string } | null

/** What we look at in tokenizer_config.json. */
interface Config extends ChatConfig {
  readonly eos_token?: SpecialToken
  readonly pad_token?: SpecialToken
  readonly clean_up_tokenization_spaces?: boolean
  readonly truncation_side?: string
}

/** Text to tokens, as the base model was trained, and back. */
export interface Tokenizer {
  /** With the special tokens that the model has around a text only where they are asked for. */
  encode (text: string, options?: { addSpecialTokens?: boolean }): number[]
  /**
   * A text, or two, with the special tokens that the model has around them, as transformers'
   * `tokenizer(text, text_pair, truncation=True, max_length=length)`: of two the longer one loses tokens first.
   *
   * @param textPair counts as none where it is empty
   * @param length the most tokens, special ones included
   * @throws {InvalidOptionError} if there is no room but for special tokens
   * @throws {InvalidModelError} if tokenizer.json has special tokens around texts that are none of its tokens
   */
  encodeWhole (text: string, textPair: string | undefined, length: number): WholeText
  /** Tokens to text. Ids that the tokenizer has not are left out. */
  decode (ids: readonly number[], options?: { skipSpecialTokens?: boolean }): string
  /** Stands between documents; undefined where the tokenizer has none. */
  readonly endOfText: number | undefined
  /** Fills rows up; undefined where the tokenizer has none. */
  readonly padding: number | undefined
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
  let config: Config
  let cleanUp: boolean
  let cutsLeft: boolean
  try {
    config = JSON.parse(configJson) as Config
    const described = JSON.parse(tokenizerJson) as TokenizerConfig
    tokenizer = openPackageTokenizer(described, config)
    cleanUp = config.clean_up_tokenization_spaces === true && described.model.type !== 'BPE' // as transformers 5: it harms what BPE decodes
    cutsLeft = (config.truncation_side ?? described.truncation?.direction)?.toLowerCase() === 'left'
  } catch (cause) {
    throw new InvalidModelError('tokenizer.json does not describe a tokenizer that we know', { cause })
  }
  const idOf = (token: SpecialToken | undefined): number | undefined => tokenizer.token_to_id((typeof token === 'object' ? token?.content : token) ?? '')
  return {
    encode: (text, { addSpecialTokens = false } = {}) => tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode: (ids, { skipSpecialTokens = false } = {}) => {
      const known = ids.filter(id => tokenizer.id_to_token(id) !== undefined)
      if (known.length === 0) return '' // the package throws
      return tokenizer.decode(known, { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: cleanUp })
    },
    encodeWhole: (text, textPair, length) => encodeWhole(tokenizer, text, textPair ?? '', { length, cutsLeft }),
    endOfText: idOf(config.eos_token ?? '<|endoftext|>'),
    padding: idOf(config.pad_token),
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
