import { createHash } from 'node:crypto'
import { Uint8ArrayList } from 'uint8arraylist'
import { takeChunk } from '../../../src/protocols/blob/chunk-answer.js'
import { requestSchema } from '../../../src/protocols/blob/schema.js'
import { encodeMessage } from '../../../src/protocols/message.js'
import { chunkOf, manifestOf, verifyChunk } from '../../../src/tensor/chunks.js'
import { type Decoder, InvalidAcceptedError } from '../decoder.js'
import { below, randomBytes, randomHash } from '../random.js'
import { messageDecoder } from './messages.js'

export const blobRequest = messageDecoder('blob request', requestSchema,
  ({ random }) => ({ id: randomHash(random), ...(random() < 0.5 && { job: randomHash(random) }), chunks: Array.from({ length: 1 + below(4, random) }, () => below(1_000, random)) }))

export const blobChunk: Decoder = {
  name: 'blob chunk',
  sample: ({ random }) => {
    const bytes = randomBytes(1 + below(300, random), random)
    const manifest = manifestOf(bytes, 100)
    const index = below(manifest.chunks.length, random)
    const chunk = chunkOf(bytes, manifest, index)
    return {
      form: 'cbor',
      bytes: encodeMessage(random() < 0.1 ? { refused: 'not held here' } : { chunk }),
      decode: async answer => {
        const place = new Uint8Array(chunk.byteLength)
        const cut = below(answer.byteLength + 1, random) // it comes in pieces
        takeChunk(new Uint8ArrayList(answer.subarray(0, cut), answer.subarray(cut)), place)
        await verifyChunk(manifest, index, place)
        if (!createHash('sha256').update(place).digest().equals(manifest.chunks[index])) throw new InvalidAcceptedError('a chunk of another hash')
      }
    }
  }
}
