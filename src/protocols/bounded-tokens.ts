import { type DecodeOptions, type Token, Tokenizer, Type } from 'cborg'
import { ProtocolError } from '../errors.js'

/**
 * Values in one message, keys of maps among them: more than the records of a thousand members with manifests of 200 chunks have.
 * A byte is enough for a value that takes fifty in memory.
 */
const MAX_TOKENS = 1 << 18

/** Lists and maps within each other; no message has more than six. */
const MAX_DEPTH = 16

/** The values of a message of CBOR, one after the other; no more of them than a message of ours has. */
export class BoundedTokens extends Tokenizer {
  #count = 0
  /** Of each list and map that is not at its end, how much of it is to come. */
  readonly #open: number[] = []

  constructor (bytes: Uint8Array, options: DecodeOptions) {
    super(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), options) // parts of a Buffer would be views of it
  }

  /** @throws {ProtocolError} if there are too many, or too deep */
  override next (): Token {
    if (++this.#count > MAX_TOKENS) throw new ProtocolError(`a message of more than ${MAX_TOKENS} values`)
    const token = super.next()
    if (this.#open.length > 0) this.#open[this.#open.length - 1]--
    if (Type.equals(token.type, Type.array)) this.#open.push(token.value as number)
    if (Type.equals(token.type, Type.map)) this.#open.push(2 * (token.value as number))
    if (this.#open.length > MAX_DEPTH) throw new ProtocolError(`a message with more than ${MAX_DEPTH} lists and maps within each other`)
    while (this.#open.at(-1) === 0) this.#open.pop()
    return token
  }
}
