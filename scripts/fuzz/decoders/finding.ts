import { createHash } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { encode } from 'cborg'
import { decodeInvite, encodeInvite } from '../../../src/node/invite.js'
import { answerSchema, requestSchema } from '../../../src/protocols/checkup/schema.js'
import type { Decoder } from '../decoder.js'
import { below, randomHash } from '../random.js'
import { messageDecoder } from './messages.js'
import { randomPeer } from './records.js'

const port = (random: () => number): number => 1 + below(65_535, random)

export const checkupRequest = messageDecoder('checkup request', requestSchema, ({ random }) => ({ ports: [port(random), port(random)] }))

export const checkupAnswer = messageDecoder('checkup answer', answerSchema, ({ random }) => ({
  time: below(2 ** 40, random), from: random() < 0.2 ? null : '192.168.1.2', dialled: [{ port: port(random), error: null }, { port: port(random), error: 'refused' }]
}))

/** Damaged before it was packed, as whoever makes one can. */
export const invite: Decoder = {
  name: 'invite',
  sample: async ({ random }) => ({
    form: 'cbor',
    bytes: encode({
      addresses: [`/ip4/192.168.1.2/tcp/4001/p2p/${await randomPeer(random)}`],
      job: random() < 0.5 ? null : randomHash(random),
      settings: { model: 'gpt2', sites: ['c_attn'], rank: 4, alpha: 8, mode: 'collaboration', steps: 10, rankPattern: { 'h.0.c_attn': 2 } }
    }),
    decode: bytes => {
      const content = deflateRawSync(bytes)
      const checksum = createHash('sha256').update(content).digest().subarray(0, 4)
      encodeInvite(decodeInvite(`u${Buffer.concat([Uint8Array.of(1), checksum, content]).toString('base64url')}`))
    }
  })
}
