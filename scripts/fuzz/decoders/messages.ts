import { isDeepStrictEqual } from 'node:util'
import type { z } from 'zod'
import { decodeMessage, encodeMessage } from '../../../src/protocols/message.js'
import { type Decoder, InvalidAcceptedError, type Source } from '../decoder.js'

/** A message of CBOR with a schema. @param check of what was accepted; it throws as a node does, or InvalidAcceptedError */
export function messageDecoder<T extends object> (
  name: string, schema: z.ZodType<T>, message: (source: Source) => Promise<object> | object, check: (decoded: T) => Promise<void> | void = () => {}
): Decoder {
  return {
    name,
    sample: async source => ({
      form: 'cbor',
      bytes: encodeMessage(await message(source)),
      decode: async bytes => {
        const decoded = decodeMessage(schema, bytes)
        if (!isDeepStrictEqual(decodeMessage(schema, encodeMessage(decoded)), decoded)) throw new InvalidAcceptedError(`${name}: what was decoded is not what it is when it is sent on`)
        await check(decoded)
      }
    })
  }
}
