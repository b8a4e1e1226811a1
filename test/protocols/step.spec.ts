import { randomBytes } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Startable } from '@libp2p/interface'
import { lpStream } from '@libp2p/utils'
import { expect } from 'chai'
import { decode, encode } from 'cborg'
import { pEvent } from 'p-event'
import * as errors from '../../src/errors.js'
import { type Job, jobId } from '../../src/job.js'
import type { Mesh } from '../../src/node/mesh.js'
import { signRecord } from '../../src/protocols/contribution/index.js'
import {
  type OpenReply, STEP_PROTOCOL, stepClient, type StepHandler, type StepReply, type StepRequest, stepServer
} from '../../src/protocols/step/index.js'
import { Traffic } from '../../src/protocols/traffic.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import type { Batch } from '../../src/types.js'
import { tokenBatch } from '../support/batch.js'
import { answerWith, Nodes, soon } from './nodes.js'
import { failureOf } from '../support/failure.js'

const JOB: Job = {
  name: 'cooking',
  model: 'a'.repeat(64),
  sites: ['h.0.attn', 'h.1.attn'],
  auxiliary: { rank: 8, alpha: 16 },
  kinds: ['low-rank'],
  mode: 'alone',
  merge: 'never',
  interval: 1,
  seed: 7
}
const BY_SITE: Job = {
  ...JOB,
  auxiliary: { rank: 8, alpha: 16, ranks: { 'h.0.attn': 3 }, alphas: { 'h.1.attn': 0.5 }, rankStabilised: true },
  kinds: ['low-rank', 'linear', 'mlp'],
  merge: 'after'
}
const OPENED: OpenReply = { model: JOB.model, sites: JOB.sites.map(name => ({ name, inFeatures: 3, outFeatures: 5 })) }
const REPLY: StepReply = { loss: 1.5, tokens: 4, version: null, members: [], timings: { queued: 0, pass: 12.25 }, shared: 1 }

function batchOf (rows: number, length: number): Batch {
  const integers = (value: (i: number) => number): Int32Array => Int32Array.from({ length: rows * length }, (_, i) => value(i))
  return tokenBatch(rows, length, { inputIds: integers(i => i * 7919 % 50_257), attentionMask: integers(i => i % 5 === 4 ? 0 : 1), labels: integers(i => i % 3 === 0 ? -100 : i) })
}

function requestOf (fields: Partial<StepRequest> = {}): StepRequest {
  return { job: 'b'.repeat(64), step: 1, oldest: 0, purpose: 'train', adapted: true, wire: 'f32', sites: [...JOB.sites], contribution: null, batch: batchOf(2, 3), ...fields }
}

/** What a host does, at once or in time. */
interface Deeds {
  readonly open?: (...asked: Parameters<StepHandler['open']>) => OpenReply | Promise<OpenReply>
  readonly step?: (...asked: Parameters<StepHandler['step']>) => StepReply | Promise<StepReply>
}

const notAsked = (): never => { throw new errors.RefusedError('this was not to be asked') }
const forEver = async (): Promise<never> => await new Promise<never>(() => { /* neither */ })

describe('step', () => {
  const nodes = new Nodes()
  let host: Mesh
  let trainer: Mesh

  beforeEach(async () => {
    host = await nodes.add()
    trainer = await nodes.add()
  })
  afterEach(async () => { await nodes.stop() })

  /** A host that does this; for the rest it is not to be asked. */
  async function serve ({ open = notAsked, step = notAsked }: Deeds, counter = new Traffic()): Promise<Startable> {
    const handler: StepHandler = { open: async (...asked) => await open(...asked), step: async (...asked) => await step(...asked) }
    const server = stepServer({ handler, counter })(host)
    await server.start()
    return server
  }

  async function open (job = JOB, signal = soon()): Promise<OpenReply> {
    return await stepClient()(trainer).open(host.peerId, job, { signal })
  }

  async function step (request = requestOf(), signal = soon()): Promise<StepReply> {
    return await stepClient()(trainer).step(host.peerId, request, { signal })
  }

  for (const job of [JOB, BY_SITE]) {
    it(`opens a job at the host, which hears whose it is: ${job.kinds.join(' and ')}`, async () => {
      const heard: unknown[] = []
      await serve({
        open: (peer, job) => {
          heard.push([peer.toString(), job])
          return OPENED
        }
      })
      expect(await open(job)).to.deep.equal(OPENED)
      expect(heard).to.deep.equal([[trainer.peerId.toString(), job]])
    })
  }

  for (const [rows, length] of [[1, 1], [3, 5], [1, 1024], [512, 1024]]) {
    it(`gives the host a batch of ${rows} × ${length} as it is`, async () => {
      const request = requestOf({ batch: batchOf(rows, length) })
      let given: StepRequest | undefined
      await serve({
        step: (_, received) => {
          given = received
          return REPLY
        }
      })
      expect(await step(request)).to.deep.equal(REPLY)
      expect(given).to.deep.equal(request)
    })
  }

  it('takes a batch whose rows lie within something larger', async () => {
    const all = Int32Array.from({ length: 20 }, (_, i) => i - 10)
    const batch = tokenBatch(2, 3, { inputIds: all.subarray(0, 6), attentionMask: all.subarray(6, 12), labels: all.subarray(13, 19) })
    const given: Batch[] = []
    await serve({
      step: (_, { batch }) => {
        given.push(batch)
        return REPLY
      }
    })
    await step(requestOf({ batch }))
    expect(given).to.deep.equal([batch])
  })

  it('carries signed contributions both ways', async () => {
    const record = await signRecord(await generateKeyPair('Ed25519'), { job: 'b'.repeat(64), round: 2, tokens: 9, final: true, manifest: manifestOf(randomBytes(10)) })
    await serve({ step: (_, { contribution }) => ({ ...REPLY, version: 'c'.repeat(64), members: contribution === null ? [] : [contribution] }) })
    const { members } = await step(requestOf({ contribution: record, purpose: 'evaluate', adapted: false, wire: 'bf16' }))
    expect(members.map(({ signature }) => [...signature])).to.deep.equal([[...record.signature]])
  })

  it('tells a loss to the last bit', async () => {
    const losses = [0, 1 / 3, 5e-324, Number.MAX_VALUE]
    await serve({ step: (_, { step }) => ({ ...REPLY, loss: losses[step] }) })
    for (const [i, loss] of losses.entries()) expect((await step(requestOf({ step: i }))).loss).to.equal(loss)
  })

  it('counts the same bytes at both ends, as of the job', async () => {
    const [traffic, hostTraffic] = [new Traffic(), new Traffic()]
    await serve({ step: () => REPLY }, hostTraffic)
    const client = stepClient({ counter: traffic })(trainer)
    await client.step(host.peerId, requestOf(), { signal: soon() })
    const { sent, received } = traffic.report().step
    expect(sent).to.be.above(3 * 6 * 4)
    expect(hostTraffic.report().step).to.deep.equal({ sent: received, received: sent })
    const { job } = requestOf()
    expect(hostTraffic.byJob()).to.deep.equal({ [job]: { sent: received, received: sent } })
    await failureOf(client.open(host.peerId, JOB, { signal: soon() }))
    expect(Object.keys(traffic.byJob())).to.have.members([job, jobId(JOB)])
    for (const [id, own] of Object.entries(traffic.byJob())) expect(hostTraffic.byJob()[id]).to.deep.equal({ sent: own.received, received: own.sent })
  })

  it('leaves no stream open', async () => {
    await serve({ step: () => REPLY })
    for (let i = 0; i < 20; i++) await step() // more than one trainer may have open
    const streams = (): number => trainer.getConnections().flatMap(({ streams }) => streams).filter(({ protocol }) => protocol === STEP_PROTOCOL).length
    while (streams() > 0) await pEvent(trainer.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
  })

  it('is refused while eight others of the same trainer run', async () => {
    const begun = new EventTarget()
    const { promise: released, resolve: release } = Promise.withResolvers<StepReply>()
    let running = 0
    await serve({
      step: async () => {
        if (++running === 8) begun.dispatchEvent(new Event('all'))
        return await released
      }
    })
    const all = pEvent(begun, 'all', { signal: soon() })
    const eight = Array.from({ length: 8 }, async () => await step())
    await all
    await failureOf(step())
    expect(running).to.equal(8)
    release(REPLY)
    expect(await Promise.all(eight)).to.deep.equal(new Array(8).fill(REPLY))
  })

  describe('when the host refuses', () => {
    const told = [
      errors.BlobUnavailableError, errors.InvalidAdapterError, errors.InvalidBatchError, errors.InvalidOptionError,
      errors.InvalidTensorError, errors.ModelMismatchError, errors.NonFiniteError, errors.ProtocolError,
      errors.RefusedError, errors.UnknownJobError, errors.UnknownSiteError
    ]
    for (const Refusal of told) {
      it(`tells of a ${Refusal.name} by name and message`, async () => {
        const fail = (): never => { throw new Refusal('because of 7') }
        await serve({ open: fail, step: fail })
        for (const failure of [await failureOf(open()), await failureOf(step())]) {
          expect(failure).to.be.instanceOf(Refusal)
          expect([failure.name, failure.message]).to.deep.equal([Refusal.name, 'because of 7'])
        }
      })
    }

    it('keeps what is its own affair to itself', async () => {
      const own = [Error, TypeError, errors.BackendError, errors.FolderInUseError]
      await serve({ step: (_, { step }) => { throw new own[step]('in /home/me') } })
      for (const i of own.keys()) {
        const failure = await failureOf(step(requestOf({ step: i })))
        expect(failure).to.be.instanceOf(errors.RefusedError)
        expect(failure.message).to.not.include('home')
      }
    })

    it('tells the beginning of what is long', async () => {
      await serve({ step: () => { throw new errors.InvalidBatchError('z'.repeat(100_000)) } })
      const failure = await failureOf(step())
      expect(failure.name).to.equal('InvalidBatchError')
      expect(failure.message).to.match(/^z{2000}$/)
    })

    it('takes a name that it does not know for a RefusedError', async () => {
      const names = ['SyntaxError', 'NewerError', '__proto__', '']
      let next = 0
      await answerWith(host, STEP_PROTOCOL, () => [{ error: { name: names[next++], message: 'no' } }])
      for (const name of names) expect(await failureOf(step()), name).to.be.instanceOf(errors.RefusedError)
    })
  })

  describe('refuses, before the host hears of it,', () => {
    const bytes = encodeSafetensors(batchOf(2, 3).tensors)
    const batches: Record<string, Uint8Array> = {
      'a batch that lacks a byte': bytes.subarray(0, -1),
      'a batch with a byte too many': Uint8Array.of(...bytes, 0),
      'a batch that is none': new Uint8Array(),
      'a batch that says it has more rows than there is memory': Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll('[2,3]', '[9e9,9e9]'), 'latin1')
    }
    for (const [what, batch] of Object.entries(batches)) {
      it(what, async () => {
        await serve({})
        const frames = lpStream(await trainer.dialProtocol(host.peerId, STEP_PROTOCOL))
        await frames.write(encode({ type: 'step', step: { ...requestOf(), batch } }))
        expect(decode((await frames.read()).subarray())).to.have.nested.property('error.name', 'InvalidBatchError')
      })
    }

    const requests: Record<string, object> = {
      'a step below zero': { step: -1 },
      'a purpose that it does not know': { purpose: 'surprise' },
      'a wire format that it does not know': { wire: 'f64' },
      'a job that is not an id': { job: 'cooking' },
      'sites that are not sorted': { sites: ['h.1.attn', 'h.0.attn'] },
      'a site twice': { sites: ['h.0.attn', 'h.0.attn'] },
      'a site without a name': { sites: [''] },
      'a contribution that is none': { contribution: { round: 1 } },
      'a key that it does not know': { surprise: true }
    }
    for (const [what, fields] of Object.entries(requests)) {
      it(what, async () => {
        await serve({})
        expect((await failureOf(step({ ...requestOf(), ...fields }))).name).to.equal('ProtocolError')
      })
    }

    const jobs: Record<string, object> = {
      'a job without a name': { name: '' },
      'a job without sites': { sites: [] },
      'a job whose sites are not sorted': { sites: ['b', 'a'] },
      'a job with a site twice': { sites: ['a', 'a'] },
      'a job of rank 0': { auxiliary: { ...JOB.auxiliary, rank: 0 } },
      'a job whose alpha is not a number': { auxiliary: { ...JOB.auxiliary, alpha: NaN } },
      'a job with ranks of more sites than models have': { auxiliary: { ...JOB.auxiliary, ranks: Object.fromEntries(Array.from({ length: 4097 }, (_, i) => [`h.${i}`, 1])) } },
      'a job of rank 0 at a site': { auxiliary: { ...JOB.auxiliary, ranks: { 'h.0.attn': 0 } } },
      'a job whose rank is not a whole number at a site': { auxiliary: { ...JOB.auxiliary, ranks: { 'h.0.attn': 1.5 } } },
      'a job whose alpha is 0 at a site': { auxiliary: { ...JOB.auxiliary, alphas: { 'h.0.attn': 0 } } },
      'a job with a key about its auxiliaries that it does not know': { auxiliary: { ...JOB.auxiliary, kind: 'low-rank' } },
      'a job of no kind': { kinds: [] },
      'a job of a kind twice': { kinds: ['low-rank', 'low-rank'] },
      'a job of a kind that it does not know': { kinds: ['low-rank', 'surprise'] },
      'a job with a seed of 33 bits': { seed: 2 ** 32 },
      'a job in a mode that it does not know': { mode: 'surprise' },
      'a job that is merged when it does not know': { merge: 'sometimes' }
    }
    for (const [what, fields] of Object.entries(jobs)) {
      it(what, async () => {
        await serve({})
        expect((await failureOf(open({ ...JOB, ...fields }))).name).to.equal('ProtocolError')
      })
    }

    it('what is no message at all, says so, and counts it as of no job', async () => {
      const traffic = new Traffic()
      await serve({}, traffic)
      for (const request of [Buffer.from('surprise'), randomBytes(1000).fill(0xff)]) {
        const frames = lpStream(await trainer.dialProtocol(host.peerId, STEP_PROTOCOL))
        await frames.write(request)
        expect(decode((await frames.read()).subarray())).to.have.nested.property('error.name', 'ProtocolError')
      }
      expect(traffic.byJob()).to.have.all.keys('none').and.to.have.nested.property('none.received', 1008)
    })

    it('more than it has room for; and serves the next one', async () => {
      let served = 0
      await serve({
        step: () => {
          served++
          return REPLY
        }
      })
      const larger = requestOf({ batch: batchOf(4096, 1024) }) // 48 MB
      const error = await failureOf(step(larger))
      expect(error.name).to.equal('InvalidBatchError')
      expect(error.message).to.include('at most 2730 rows')
      const frames = lpStream(await trainer.dialProtocol(host.peerId, STEP_PROTOCOL))
      await failureOf(frames.write(encode({ type: 'step', step: { ...larger, batch: encodeSafetensors(larger.batch.tensors) } })).then(async () => await frames.read()))
      expect(served).to.equal(0)
      expect(await step()).to.deep.equal(REPLY)
    })
  })

  describe('with a host that answers', () => {
    const answers: Record<string, object> = {
      'something else': { surprise: true },
      'what was not asked': { opened: OPENED },
      'a loss that is not a number': { reply: { ...REPLY, loss: NaN } },
      'an infinite loss': { reply: { ...REPLY, loss: Infinity } },
      'a loss that is text': { reply: { ...REPLY, loss: '1.5' } },
      'fewer tokens than none': { reply: { ...REPLY, tokens: -1 } },
      'times that are not numbers': { reply: { ...REPLY, timings: { queued: NaN, pass: 1 } } },
      'members that are none': { reply: { ...REPLY, members: [{}] } },
      'a reply and an error': { reply: REPLY, error: { name: 'RefusedError', message: 'no' } },
      'a refusal without end': { error: { name: 'RefusedError', message: 'z'.repeat(2001) } }
    }
    for (const [what, answer] of Object.entries(answers)) {
      it(`${what}: is a ProtocolError`, async () => {
        await answerWith(host, STEP_PROTOCOL, () => [answer])
        expect((await failureOf(step())).name).to.equal('ProtocolError')
      })
    }

    it('sites that are none: is a ProtocolError', async () => {
      await answerWith(host, STEP_PROTOCOL, () => [{ opened: { ...OPENED, sites: [{ name: 'h.0.attn', inFeatures: 0, outFeatures: 5 }] } }])
      expect((await failureOf(open())).name).to.equal('ProtocolError')
    })

    it('more than there is room for: fails', async () => {
      await answerWith(host, STEP_PROTOCOL, () => [{ reply: REPLY, noise: new Uint8Array(9_000_000) }])
      await failureOf(step())
    })

    it('nothing: is a TimeoutError when the time is over', async () => {
      await answerWith(host, STEP_PROTOCOL, async function * () { yield await forEver() })
      const patient = stepClient({ timeout: 100 })(trainer)
      expect((await failureOf(patient.step(host.peerId, requestOf(), { signal: soon() }))).name).to.equal('TimeoutError')
    })

    it('nothing, and closes the stream: fails', async () => {
      await host.handle(STEP_PROTOCOL, async stream => {
        await lpStream(stream).read()
        await stream.close()
      })
      await failureOf(step())
    })

    it('nothing, because it serves no steps: fails', async () => {
      expect((await failureOf(step())).name).to.equal('UnsupportedProtocolError')
    })
  })

  describe('when one of the two goes away', () => {
    /** A host at a step that takes for ever; what its signal ends with. */
    async function busy (): Promise<{ readonly begun: Promise<unknown>, readonly ended: Promise<Error> }> {
      const events = new EventTarget()
      const ended = Promise.withResolvers<Error>()
      await serve({
        step: async (_peer, _request, signal) => {
          signal.addEventListener('abort', () => ended.resolve(signal.reason as Error))
          events.dispatchEvent(new Event('begun'))
          return await forEver()
        }
      })
      return { begun: pEvent(events, 'begun', { signal: soon() }), ended: ended.promise }
    }

    it('the trainer by its signal: its wait ends with the reason, and so does the host\'s work', async () => {
      const { begun, ended } = await busy()
      const given = new AbortController()
      const failure = failureOf(step(requestOf(), given.signal))
      await begun
      given.abort(new Error('enough'))
      expect((await failure).message).to.equal('enough')
      expect(await ended).to.be.instanceOf(Error)
    })

    it('the trainer with its node: the host\'s work ends', async () => {
      const { begun, ended } = await busy()
      const failure = failureOf(step())
      await begun
      await trainer.stop()
      expect(await ended).to.be.instanceOf(Error)
      await failure
    })

    it('the host with its node: the trainer\'s wait ends', async () => {
      const { begun } = await busy()
      const failure = failureOf(step())
      await begun
      await host.stop()
      expect((await failure).name).to.not.equal('TimeoutError')
    })

    it('the trainer has given up before it asks: nothing is asked', async () => {
      await serve({})
      const failure = await failureOf(step(requestOf(), AbortSignal.abort(new Error('enough'))))
      expect(failure.message).to.equal('enough')
    })
  })

  it('is not answered any more once stopped', async () => {
    const server = await serve({ open: () => OPENED })
    await open()
    await server.stop()
    expect((await failureOf(open())).name).to.equal('UnsupportedProtocolError')
  })
})
