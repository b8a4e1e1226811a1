import { advertSchema, answerSchema } from '../../../src/protocols/advert/schema.js'
import { manifestSchema } from '../../../src/protocols/message.js'
import { jobMessageSchema } from '../../../src/protocols/topic/schema.js'
import { MAX_BLOB_BYTES } from '../../../src/tensor/chunks.js'
import { TASKS, WIRE_FORMS } from '../../../src/types.js'
import { InvalidAcceptedError, type Source } from '../decoder.js'
import { below, oneOf, randomHash } from '../random.js'
import { messageDecoder } from './messages.js'
import { checkRecord, randomManifest, randomPeer, randomRecord } from './records.js'
import { randomSites } from './steps.js'

async function randomAdvert ({ random }: Source): Promise<object> {
  const sites = randomSites(random)
  return {
    peer: await randomPeer(random),
    model: randomHash(random),
    name: 'tiny',
    task: oneOf(TASKS, random),
    sites,
    output: 'lm_head',
    defaultSites: [sites[0].name],
    fanInFanOut: true,
    positions: 128,
    vocabSize: 512,
    labels: ['good', 'bad'],
    limits: { rows: 8, tokens: 4096, rank: 64 },
    tokensPerSecond: 100 * random(),
    engine: 'onnx, cpu',
    expires: below(2 ** 40, random),
    files: { 'tokenizer.json': randomManifest(random) },
    ...(random() < 0.5 && { tokenTypes: 2, image: { channels: 3, height: 8, width: 8 } })
  }
}

async function randomAnnouncement (source: Source): Promise<object> {
  const { random } = source
  if (random() < 0.5) return { type: 'contribution', record: await randomRecord(source) }
  return {
    type: 'adaptation',
    job: randomHash(random),
    step: below(100, random),
    trainer: await randomPeer(random),
    version: random() < 0.5 ? null : randomHash(random),
    group: '0',
    sites: ['h.0.c_attn', 'h.1.c_attn'],
    wire: oneOf(WIRE_FORMS, random),
    manifest: randomManifest(random)
  }
}

export const advert = messageDecoder('advert', advertSchema, randomAdvert)

export const advertAnswer = messageDecoder('advert answer', answerSchema, async source => ({ advert: source.random() < 0.1 ? null : await randomAdvert(source) }))

export const announcement = messageDecoder('announcement', jobMessageSchema, randomAnnouncement, async message => {
  if (message.type === 'contribution') await checkRecord(message.record)
})

export const manifest = messageDecoder('manifest', manifestSchema, ({ random }) => randomManifest(random), ({ size, chunkSize, chunks }) => {
  if (size > MAX_BLOB_BYTES || Math.ceil(size / chunkSize) !== chunks.length) throw new InvalidAcceptedError(`${chunks.length} chunks of ${chunkSize} bytes are not ${size} bytes`)
})
