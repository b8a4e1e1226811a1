import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidModelError, InvalidOptionError } from '../errors.js'
import type { RenderChat } from '../types.js'
import { type ChatConfig, createChatTemplate } from './chat-template.js'
import { type HuggingFaceTokenizer, openPackageTokenizer, type TokenizerConfig } from './package-tokenizer.js'

/** As tokenizer_config.json has it. */
type SpecialToken = string | { readonly content: string }

/** Text to tokens, as the base model was trained, and back. */
export interface Tokenizer {
  /** With the special tokens that the model has around a text only where they are asked for. */
  encode (text: string, options?: { addSpecialTokens?: boolean }): number[]
  /**
   * A text, or two, with the special tokens that the model has around them, as transformers'
   * `tokenizer(text, text_pair, truncation=True, max_length=length)`: of two the longer one loses tokens first.
   *
   * @param length the most tokens, special ones included
   * @throws {InvalidOptionError} if there is no room but for special tokens
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

/** Tokens of a text, or two, that a model takes whole. */
export interface WholeText {
  readonly ids: readonly number[]
  /** Which of the texts a token is of. */
  readonly typeIds: readonly number[]
  /** Whether tokens were cut off. */
  readonly truncated: boolean
}

/**
 * A tokenizer from the texts of `tokenizer.json` and, where there are, `tokenizer_config.json` and `chat_template.jinja`.
 *
 * @throws {InvalidModelError} if they do not describe one
 */
export function createTokenizer (tokenizerJson: string, configJson = '{}', chatTemplate?: string): Tokenizer {
  let tokenizer: HuggingFaceTokenizer
  let config: ChatConfig & { eos_token?: SpecialToken, pad_token?: SpecialToken, clean_up_tokenization_spaces?: boolean }
  let cleanUp: boolean
  let untyped: boolean
  try {
    config = JSON.parse(configJson) as typeof config
    const described = JSON.parse(tokenizerJson) as TokenizerConfig
    tokenizer = openPackageTokenizer(described, config)
    untyped = described.post_processor?.type === 'RobertaProcessing' // in Rust all of its types are 0
    cleanUp = config.clean_up_tokenization_spaces === true && described.model.type !== 'BPE' // as transformers 5: it harms what BPE decodes
  } catch (cause) {
    throw new InvalidModelError('tokenizer.json does not describe a tokenizer that we know', { cause })
  }
  const idOf = (token: SpecialToken | undefined): number | undefined => tokenizer.token_to_id((typeof token === 'object' ? token.content : token) ?? '')
  return {
    encode: (text, { addSpecialTokens = false } = {}) => tokenizer.encode(text, { add_special_tokens: addSpecialTokens }).ids,
    decode: (ids, { skipSpecialTokens = false } = {}) => {
      const known = ids.filter(id => tokenizer.id_to_token(id) !== undefined)
      if (known.length === 0) return '' // the package throws
      return tokenizer.decode(known, { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: cleanUp })
    },
    encodeWhole: (text, textPair, length) => {
      const [first, second] = [tokenizer.encode_text(text), textPair === undefined ? null : tokenizer.encode_text(textPair)]
      const around = (a: string[], b: string[] | null): { tokens: string[], token_type_ids?: number[] } =>
        tokenizer.post_processor?.(a, b, true) ?? { tokens: [...a, ...b ?? []] }
      const room = length - around([], second && []).tokens.length
      if (room < 1) throw new InvalidOptionError(`rows of ${length} tokens have room for special tokens alone; use a greater length`)
      const [own, others] = kept(first.length, second?.length ?? 0, room)
      const { tokens, token_type_ids: types } = around(first.slice(0, own), second && second.slice(0, others))
      return {
        ids: tokens.map(token => tokenizer.token_to_id(token) ?? tokenizer.model.unk_token_id ?? 0),
        typeIds: untyped || types === undefined ? tokens.map(() => 0) : types,
        truncated: own < first.length || others < (second?.length ?? 0)
      }
    },
    endOfText: idOf(config.eos_token ?? '<|endoftext|>'),
    padding: idOf(config.pad_token),
    render: createChatTemplate(config, chatTemplate)
  }
}

/** How many tokens of two texts have room: as `LongestFirst` of Hugging Face's `tokenizers`. */
function kept (first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second]
  if (second === 0) return [room, 0]
  const shorter = Math.min(first, second)
  const longer = shorter > room ? shorter : Math.max(shorter, room - shorter)
  const [small, large] = shorter + longer > room ? [Math.floor(room / 2), Math.ceil(room / 2)] : [shorter, longer]
  return first > second ? [large, small] : [small, large]
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
