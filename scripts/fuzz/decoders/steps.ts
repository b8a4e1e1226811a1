import { fromRefusal } from '../../../src/protocols/step/refusal.js'
import { decodeBatch, encodeBatch, openAnswerSchema, requestSchema, stepAnswerSchema } from '../../../src/protocols/step/schema.js'
import { MERGES, MODES, type Site, WIRE_FORMS } from '../../../src/types.js'
import { jobId } from '../../../src/job.js'
import type { Source } from '../decoder.js'
import { below, oneOf, randomBytes, randomHash } from '../random.js'
import { checkRecord, randomRecord } from './records.js'
import { messageDecoder } from './messages.js'
import { randomBatch } from './tensors.js'

const CONVOLUTION: Site = { name: 'convs.0', inFeatures: 27, outFeatures: 4, convolution: { channels: 3, height: 8, width: 8, kernel: [3, 3], stride: [1, 1], padding: [1, 1] } }

export function randomSites (random: () => number): Site[] {
  const plain = Array.from({ length: 1 + below(3, random) }, (_, i): Site => ({
    name: `h.${i}.c_attn`, inFeatures: 1 + below(8, random), outFeatures: 1 + below(8, random), ...(random() < 0.3 && { places: 'target' })
  }))
  return oneOf([plain, [...plain, CONVOLUTION], [...plain, { name: 'wte', inFeatures: 9, outFeatures: 3, embedding: true }]], random)
}

function randomJob (random: () => number): object {
  const sites = ['h.0.c_attn', 'h.1.c_attn', 'h.2.c_attn'].slice(below(3, random))
  return {
    name: 'our-job',
    model: randomHash(random),
    sites,
    auxiliary: { rank: 1 + below(8, random), alpha: 1 + random(), ...(random() < 0.5 && { ranks: { [sites[0]]: 4 }, alphas: { [sites[0]]: 2 }, rankStabilised: true, dropout: 0.1 }) },
    kinds: oneOf([['low-rank'], ['low-rank', 'linear'], ['dora']], random),
    mode: oneOf(MODES, random),
    merge: oneOf(MERGES, random),
    interval: 1 + below(8, random),
    seed: below(2 ** 32, random)
  }
}

async function randomStep (source: Source): Promise<object> {
  const { random } = source
  return {
    job: randomHash(random),
    step: below(100, random),
    purpose: oneOf(['train', 'evaluate'], random),
    adapted: random() < 0.5,
    wire: oneOf(WIRE_FORMS, random),
    sites: ['h.0.c_attn', 'h.1.c_attn'],
    contribution: random() < 0.5 ? null : await randomRecord(source),
    batch: encodeBatch(randomBatch(random)),
    ...(random() < 0.5 && { oldest: below(9, random), together: { id: 'all', size: 2 } })
  }
}

async function randomReply (source: Source): Promise<object> {
  const { random } = source
  return {
    loss: 10 * random(),
    tokens: below(1_000, random),
    version: random() < 0.5 ? null : randomHash(random),
    members: await Promise.all(Array.from({ length: below(3, random) }, async () => await randomRecord(source))),
    timings: { queued: random(), pass: random() },
    shared: 1
  }
}

const REFUSAL = { error: { name: 'InvalidBatchError', message: 'a row of 9 tokens' } }

export const openRequest = messageDecoder('open request', requestSchema, ({ random }) => ({ type: 'open', job: randomJob(random) }), request => {
  if (request.type === 'open') jobId(request.job)
})

export const stepRequest = messageDecoder('step request', requestSchema, async source => ({ type: 'step', step: await randomStep(source) }), async request => {
  if (request.type === 'open') return
  decodeBatch(request.step.batch)
  if (request.step.contribution !== null) await checkRecord(request.step.contribution)
})

export const openReply = messageDecoder('open reply', openAnswerSchema, ({ random }) => random() < 0.2
  ? REFUSAL
  : { opened: { model: randomHash(random), sites: randomSites(random), ...(random() < 0.5 && { norms: randomBytes(40, random) }) } }, throwRefusal)

export const stepReply = messageDecoder('step reply', stepAnswerSchema, async source => source.random() < 0.2 ? REFUSAL : { reply: await randomReply(source) }, async answer => {
  throwRefusal(answer)
  if ('reply' in answer) for (const record of answer.reply.members) await checkRecord(record)
})

function throwRefusal (answer: object | { readonly error: Parameters<typeof fromRefusal>[0] }): void {
  if ('error' in answer) throw fromRefusal(answer.error)
}
