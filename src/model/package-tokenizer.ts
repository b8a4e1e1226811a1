import * as huggingFace from '@huggingface/tokenizers'

/** What we use of the package. Its own types import without file extensions, which `nodenext` does not resolve. */
export interface HuggingFaceTokenizer {
  encode (text: string, options: { add_special_tokens: boolean }): { ids: number[] }
  decode (ids: readonly number[], options: { skip_special_tokens: boolean, clean_up_tokenization_spaces: boolean }): string
  token_to_id (token: string): number | undefined
  id_to_token (id: number): string | undefined
  readonly normalizer: Part | null
  readonly pre_tokenizer: Part | null
  readonly decoder: Part | null
  readonly post_processor: Part | null
  readonly model: object
  readonly added_tokens: AddedToken[]
  readonly splitter_unnormalized: Splitter
  readonly splitter_normalized: Splitter
}

interface AddedToken {
  readonly content: string
  lstrip: boolean
  rstrip: boolean
}

/** Cuts a text at added tokens. */
interface Splitter { split: (text: string) => string[] }

/** What a post-processor gives. */
export interface Processed {
  /** The ids that it was given, among special tokens. */
  readonly tokens: Array<number | string>
  /** Which text a token is of; undefined where it does not say. */
  readonly token_type_ids?: number[]
  /** A second text's, where it is left as it is. */
  readonly tokens_pair?: number[] | null
}

/** A normalizer, a pre-tokenizer, a decoder or a post-processor of the package; it has the methods of one of these. */
interface Part {
  normalize: (text: string) => string
  pre_tokenize_text: (text: string, options?: object) => string[]
  decode_chain: (tokens: string[]) => string[]
  /** Puts special tokens around those of a text, or two, without a look at these: ids will do. */
  post_process: (tokens: number[], pair: number[] | null, addSpecialTokens: boolean) => Processed
  /** What a pre-tokenizer matches. */
  pattern: RegExp
  /** Of a sequence. */
  readonly normalizers?: Part[]
  readonly tokenizers?: Part[]
  readonly decoders?: Part[]
  readonly processors?: Part[]
}

/** The package's model of vocabularies with scores. */
interface Unigram {
  tokenize: (text: string) => string[]
  readonly trie: { common_prefix_search: (characters: string[], start: number) => Iterable<string> }
  /** Has what the trie finds. */
  readonly tokens_to_ids: { get: (token: string) => number }
  readonly scores: number[]
  readonly unk_score: number
}

/** A part as tokenizer.json has it. */
interface PartConfig {
  readonly type: string
  readonly normalizers?: PartConfig[]
  readonly pretokenizers?: PartConfig[]
  readonly decoders?: PartConfig[]
  readonly processors?: PartConfig[]
  readonly [option: string]: unknown
}

/** What we look at in tokenizer.json. */
export interface TokenizerConfig {
  readonly normalizer: PartConfig | null
  readonly pre_tokenizer: PartConfig | null
  readonly decoder: PartConfig | null
  readonly post_processor: PartConfig | null
  readonly model: { readonly type?: string }
  readonly truncation?: { readonly direction?: string } | null
}

const { Tokenizer: PackageTokenizer, SplitPreTokenizer, Unigram: PackageUnigram } = huggingFace as unknown as {
  Tokenizer: new (tokenizer: object, config: object) => HuggingFaceTokenizer
  SplitPreTokenizer: new (config: object) => Part
  Unigram: new (...args: never) => Unigram
}

/**
 * The package's tokenizer; what it does otherwise than Python's `tokenizers`, which is Rust, done as Rust does it.
 * JavaScript's `\s` has U+FEFF and lacks U+0085; Rust's whitespace is White_Space.
 *
 * @param tokenizer the object that tokenizer.json holds
 * @param config the one that tokenizer_config.json holds
 */
export function openPackageTokenizer (tokenizer: TokenizerConfig, config: object): HuggingFaceTokenizer {
  return mended(new PackageTokenizer(tokenizer, config), tokenizer)
}

const WHITE_SPACE = /\p{White_Space}/gu
const CONTROL = /[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}]/gu
/** As in tokenizers/src/normalizers/bert.rs, which leaves out U+2B820 to U+2B91F. */
const IDEOGRAPH = /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu
const BERT_WORD = /[^\p{White_Space}\p{P}!-/:-@[-`{-~]+|[\p{P}!-/:-@[-`{-~]/gu
const GPT2_WORD = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

/** With the neighbours that may be of one grapheme with it: the rest need not be cut into graphemes, which takes long. */
const NOT_ASCII = /[ -~]?(?:[^ -~]+[ -~]?)+/g

const encoder = new TextEncoder()
/** Keeps a byte order mark, and writes U+FFFD for bytes that are not UTF-8. */
const lossy = new TextDecoder('utf-8', { ignoreBOM: true })
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })

type Mend = (part: Part, config: PartConfig) => void

const NORMALIZERS: Partial<Record<string, Mend>> = {
  BertNormalizer: (part, { clean_text: clean, handle_chinese_chars: spaced, strip_accents: strip, lowercase: lower }) => {
    part.normalize = text => {
      if (clean === true) text = text.replace(CONTROL, '').replace(WHITE_SPACE, ' ')
      if (spaced === true) text = text.replace(IDEOGRAPH, ' $& ')
      if (strip ?? lower) text = text.normalize('NFD').replace(/\p{Mn}/gu, '')
      return lower === true ? lowercase(text) : text
    }
  },
  Lowercase: part => { part.normalize = lowercase },
  Precompiled: (part, { precompiled_charsmap: charsmap }) => {
    if (typeof charsmap === 'string') part.normalize = precompiled(Buffer.from(charsmap, 'base64'))
  },
  Strip: (part, { strip_left: left, strip_right: right }) => {
    part.normalize = text => {
      if (left === true) text = trimStart(text)
      return right === true ? trimEnd(text) : text
    }
  }
}

const PRE_TOKENIZERS: Partial<Record<string, Mend>> = {
  BertPreTokenizer: part => { part.pre_tokenize_text = text => text.match(BERT_WORD) ?? [] },
  ByteLevel: part => { part.pattern = GPT2_WORD },
  Metaspace: (part, { replacement = '▁', split = true }) => {
    if (split !== true) return
    const whole = part.pre_tokenize_text.bind(part)
    part.pre_tokenize_text = (text, options) => whole(text, options).flatMap(piece => splitBefore(piece, replacement as string))
  },
  Split: (part, config) => {
    const { Regex } = config['pattern'] as { Regex?: string } // a string has no case to fold
    if (Regex !== undefined) part.pattern = new SplitPreTokenizer({ ...config, pattern: { Regex: withLongS(Regex) } }).pattern
  },
  WhitespaceSplit: part => { part.pre_tokenize_text = text => text.match(/\P{White_Space}+/gu) ?? [] }
}

const DECODERS: Partial<Record<string, Mend>> = {
  ByteFallback: part => { part.decode_chain = joinBytes },
  ByteLevel: part => {
    const { byte_decoder: byteOf } = part as Part & { byte_decoder: Record<string, string | undefined> }
    part.decode_chain = tokens => [lossy.decode(Uint8Array.from(tokens.flatMap(token => {
      const bytes = Array.from(token, character => Number(byteOf[character]))
      return bytes.some(Number.isNaN) ? [...encoder.encode(token)] : bytes // an added token may have other characters
    })))]
  },
  Metaspace: (part, { replacement = '▁', prepend_scheme: scheme = 'always' }) => {
    part.decode_chain = tokens => tokens.map((token, i) => token.replaceAll(replacement as string, i === 0 && scheme !== 'never' ? '' : ' '))
  }
}

const POST_PROCESSORS: Partial<Record<string, Mend>> = {
  RobertaProcessing: part => {
    const process = part.post_process.bind(part)
    part.post_process = (...texts) => {
      const { tokens } = process(...texts)
      return { tokens, token_type_ids: tokens.map(() => 0) }
    }
  }
}

function mended (tokenizer: HuggingFaceTokenizer, config: TokenizerConfig): HuggingFaceTokenizer {
  mend(tokenizer.normalizer, config.normalizer, NORMALIZERS)
  mend(tokenizer.pre_tokenizer, config.pre_tokenizer, PRE_TOKENIZERS)
  mend(tokenizer.decoder, config.decoder, DECODERS)
  mend(tokenizer.post_processor, config.post_processor, POST_PROCESSORS)
  if (tokenizer.model instanceof PackageUnigram) mendUnigram(tokenizer.model)
  mendStripping(tokenizer)
  return tokenizer
}

function mend (part: Part | null, config: PartConfig | null, mends: Partial<Record<string, Mend>>): void {
  if (part === null || config === null) return
  mends[config.type]?.(part, config)
  const configs = config.normalizers ?? config.pretokenizers ?? config.decoders ?? config.processors ?? []
  const parts = part.normalizers ?? part.tokenizers ?? part.decoders ?? part.processors ?? []
  parts.forEach((inner, i) => { mend(inner, configs[i], mends) })
}

/** Added tokens that strip the whitespace beside them, but not an added token that is whitespace. */
function mendStripping ({ added_tokens: tokens, splitter_unnormalized: unnormalized, splitter_normalized: normalized }: HuggingFaceTokenizer): void {
  const added = new Map(tokens.map(({ content, lstrip, rstrip }) => [content, { lstrip, rstrip }]))
  for (const token of tokens) token.lstrip = token.rstrip = false
  for (const splitter of [unnormalized, normalized]) {
    const split = splitter.split.bind(splitter)
    splitter.split = text => {
      const sections = split(text)
      return sections.map((section, i) => {
        if (added.has(section)) return section
        if (i > 0 && added.get(sections[i - 1])?.rstrip === true) section = trimStart(section)
        return i < sections.length - 1 && added.get(sections[i + 1])?.lstrip === true ? trimEnd(section) : section
      })
    }
  }
}

/** Compares paths where they end. The package does so one token later, when rounding has made some equal. */
function mendUnigram (model: Unigram): void {
  model.tokenize = text => {
    const characters = Array.from(text)
    /** Of the best path that ends before each character: its score, and where its last token starts. */
    const scores = new Float64Array(characters.length + 1).fill(-Infinity, 1)
    const starts = new Int32Array(characters.length + 1)
    const offer = (start: number, end: number, score: number): void => {
      if (scores[start] + score <= scores[end]) return
      scores[end] = scores[start] + score
      starts[end] = start
    }
    for (let start = 0; start < characters.length; start++) {
      let reachesNext = false
      for (const token of model.trie.common_prefix_search(characters, start)) {
        const length = Array.from(token).length
        offer(start, start + length, model.scores[model.tokens_to_ids.get(token)])
        reachesNext ||= length === 1
      }
      if (!reachesNext) offer(start, start + 1, model.unk_score)
    }
    const tokens: string[] = []
    for (let end = characters.length; end > 0; end = starts[end]) tokens.push(characters.slice(starts[end], end).join(''))
    return tokens.reverse()
  }
}

function trimStart (text: string): string {
  return text.replace(/^\p{White_Space}+/u, '')
}

function trimEnd (text: string): string {
  return text.replace(/(?<!\p{White_Space})\p{White_Space}+$/u, '') // looks behind, else many spaces inside cost their square
}

/** Of each character by itself: Rust does not write a sigma at a word's end as ς. */
function lowercase (text: string): string {
  return Array.from(text, character => character.toLowerCase()).join('')
}

function splitBefore (text: string, mark: string): string[] {
  return text.split(mark).map((piece, i) => i === 0 ? piece : mark + piece).filter(piece => piece !== '')
}

/** In `(?i:…)` the package folds ASCII only; of the letters in patterns, s and k have others: ſ and K (Kelvin). */
function withLongS (pattern: string): string {
  return pattern.replace(/\(\?i:([^()[\]]*)\)/g, group => group.replace(/(?<!\\)s/gi, '[s\u017f]').replace(/(?<!\\)k/gi, '[k\u212a]'))
}

/** Bytes that are not UTF-8 become as many U+FFFD. */
function joinBytes (tokens: string[]): string[] {
  const joined: string[] = []
  let bytes: number[] = []
  const flush = (): void => {
    try {
      joined.push(strict.decode(Uint8Array.from(bytes)))
    } catch {
      joined.push('\ufffd'.repeat(bytes.length))
    }
    bytes = []
  }
  for (const token of tokens) {
    const byte = /^<0x([\da-f]{2})>$/i.exec(token)?.[1]
    if (byte !== undefined) {
      bytes.push(Number.parseInt(byte, 16))
      continue
    }
    if (bytes.length > 0) flush()
    joined.push(token)
  }
  if (bytes.length > 0) flush()
  return joined
}

/**
 * What SentencePiece replaces: a double array of the bytes to be replaced (Aoe's trie, as Darts-clone packs it), then what
 * replaces them, each ended by 0. The package takes NFKC for it.
 */
function precompiled (charsmap: Buffer): (text: string) => string {
  const size = Math.floor(charsmap.readUInt32LE(0) / 4)
  if (charsmap.length < 4 + 4 * size) throw new RangeError(`precompiled_charsmap of ${charsmap.length} bytes has no trie of ${size} units`)
  const units = Uint32Array.from({ length: size }, (_, i) => charsmap.readUInt32LE(4 + 4 * i))
  const replacements = charsmap.subarray(4 + 4 * size)
  const offset = (unit: number): number => (unit >>> 10) << ((unit & 0x200) >>> 6)
  /** What stands for the shortest prefix that has a replacement, as Rust takes it for the whole. */
  const replacement = (chunk: string): string | undefined => {
    let node = offset(units[0])
    for (const byte of encoder.encode(chunk)) {
      node ^= byte
      const unit = units[node]
      if (byte === 0 || (unit & 0x800000ff) !== byte) return undefined
      node ^= offset(unit)
      if ((unit & 0x100) === 0) continue
      const start = units[node] & 0x7fffffff
      return replacements.toString('utf8', start, replacements.indexOf(0, start))
    }
    return undefined
  }
  const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
  const replaced = (text: string): string => Array.from(graphemes.segment(text), ({ segment }) =>
    (Buffer.byteLength(segment) < 6 ? replacement(segment) : undefined) ??
      Array.from(segment, character => replacement(character) ?? character).join('')).join('')
  const leavesAscii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).every(character => replacement(character) === undefined)
  return text => leavesAscii ? text.replace(NOT_ASCII, replaced) : replaced(text)
}
