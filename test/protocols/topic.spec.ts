import { createHash, randomBytes } from 'node:crypto'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { type ContributionRecord, signRecord } from '../../src/protocols/contribution/index.js'
import { encodeMessage } from '../../src/protocols/message.js'
import {
  type AdaptationMessage, type JobMessage, type JobTopic, jobTopic, type JobTopicEvents, MAX_ANNOUNCEMENT_BYTES, type PubSub, type Received
} from '../../src/protocols/topic/index.js'
import { Traffic } from '../../src/protocols/traffic.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import { type Gossiper, Gossipers, listening, relaying, scoreOf } from './gossipers.js'
import { Nodes, soon } from './nodes.js'
import { failureOf } from '../support/failure.js'

const JOB = 'a'.repeat(64)
const OTHER_JOB = 'b'.repeat(64)
const NAME = `colanet/1/job/${JOB}`
const manifest = manifestOf(randomBytes(10))

/** A host's announcement; the step tells one from another. */
function adaptation (step: number, fields: Partial<AdaptationMessage> = {}): AdaptationMessage {
  return { type: 'adaptation', job: JOB, step, trainer: '12D3KooWtrainer', version: null, group: 'h.0', sites: ['h.0.attn'], wire: 'f32', manifest, ...fields }
}

async function signedRecord (round: number, job = JOB): Promise<ContributionRecord> {
  return await signRecord(await generateKeyPair('Ed25519'), { job, round, tokens: 512, final: false, manifest })
}

describe('topic', () => {
  const gossipers = new Gossipers()
  const topics: JobTopic[] = []
  afterEach(async () => {
    for (const topic of topics.splice(0)) topic.stop()
    await gossipers.stop()
  })

  function topicOf (pubsub: PubSub, job = JOB, counter = new Traffic()): JobTopic {
    const topic = jobTopic({ job, counter })(pubsub)
    topic.start()
    topics.push(topic)
    return topic
  }

  /** What is heard from now on. */
  function heardOn (topic: JobTopic): Array<Received<JobMessage>> {
    const heard: Array<Received<JobMessage>> = []
    for (const type of ['adaptation', 'contribution'] as const) topic.addEventListener(type, ({ detail }) => heard.push(detail))
    return heard
  }

  async function next<T extends keyof JobTopicEvents> (topic: JobTopic, type: T, filter: (event: JobTopicEvents[T]) => boolean = () => true): Promise<JobTopicEvents[T]> {
    return await pEvent<T, JobTopicEvents[T]>(topic, type, { filter, signal: soon() })
  }

  /** A node in the middle, and one that hears only from it, and all that it passes on. */
  async function line (): Promise<{ middle: Gossiper, topic: JobTopic, end: Gossiper, passedOn: Uint8Array[] }> {
    const middle = await gossipers.add()
    const end = await gossipers.add([middle])
    const passedOn: Uint8Array[] = []
    end.services.pubsub.addEventListener('message', ({ detail: { data } }) => passedOn.push(data))
    end.services.pubsub.subscribe(NAME)
    await listening(middle.services.pubsub, NAME, end.peerId)
    const topic = topicOf(middle.services.pubsub)
    await relaying(middle.services.pubsub, NAME, end.peerId)
    return { middle, topic, end, passedOn }
  }

  it('brings messages to the others, and says from whom they are', async () => {
    const writer = await gossipers.add()
    const readers = [await gossipers.add([writer]), await gossipers.add([writer])]
    const writing = topicOf(writer.services.pubsub)
    const reading = readers.map(({ services }) => topicOf(services.pubsub))
    for (const { peerId } of readers) await listening(writer.services.pubsub, NAME, peerId)
    for (const message of [adaptation(7), { type: 'contribution', record: await signedRecord(3) } satisfies JobMessage]) {
      const events = Promise.all(reading.map(async topic => await next(topic, message.type)))
      const { length } = await writing.publish(message)
      for (const { detail } of await events) {
        const { from, ...received } = detail
        expect(encodeMessage(received)).to.deep.equal(encodeMessage(message))
        expect(from.equals(writer.peerId)).to.equal(true)
      }
      expect(length).to.equal(2)
    }
  })

  it('names the writer, not who passed it on', async () => {
    const { middle, end } = await line()
    const far = topicOf(end.services.pubsub)
    const writer = await gossipers.add([middle])
    const event = next(far, 'adaptation')
    await topicOf(writer.services.pubsub).publish(adaptation(1), { to: middle.peerId, signal: soon() })
    expect((await event).detail.from.equals(writer.peerId)).to.equal(true)
  })

  it('does not bring a message back to its writer, nor twice to a reader', async () => {
    const writer = await gossipers.add()
    const reader = await gossipers.add([writer])
    const third = await gossipers.add([writer, reader])
    const [writing, reading] = [writer, reader, third].map(({ services }) => topicOf(services.pubsub))
    for (const { peerId } of [reader, third]) await listening(writer.services.pubsub, NAME, peerId)
    await relaying(third.services.pubsub, NAME, reader.peerId)
    const [written, read] = [heardOn(writing), heardOn(reading)]
    const all = next(reading, 'adaptation', ({ detail: { step } }) => step === 5)
    for (let step = 1; step <= 5; step++) await writing.publish(adaptation(step))
    await all
    await pEvent(third.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    expect(read.map(message => 'step' in message && message.step).sort()).to.deep.equal([1, 2, 3, 4, 5])
    expect(written).to.deep.equal([])
  })

  it('goes to nobody when nobody listens', async () => {
    const writer = await gossipers.add()
    await gossipers.add([writer])
    expect(await topicOf(writer.services.pubsub).publish(adaptation(1))).to.deep.equal([])
  })

  it('waits for the one it is for, who subscribes late', async () => {
    const writer = await gossipers.add()
    const late = await gossipers.add([writer])
    const sent = topicOf(writer.services.pubsub).publish(adaptation(1), { to: late.peerId, signal: soon() })
    const topic = topicOf(late.services.pubsub)
    const received = next(topic, 'adaptation')
    expect((await sent).map(String)).to.deep.equal([late.peerId.toString()])
    expect((await received).detail.step).to.equal(1)
  })

  it('waits for the one it is for, who connects late', async () => {
    const writer = await gossipers.add()
    const late = await gossipers.add()
    const received = next(topicOf(late.services.pubsub), 'adaptation')
    const sent = topicOf(writer.services.pubsub).publish(adaptation(1), { to: late.peerId, signal: soon() })
    await late.dial(writer.getMultiaddrs())
    await sent
    expect((await received).detail.step).to.equal(1)
  })

  it('waits no longer than its signal', async () => {
    const writer = await gossipers.add()
    const topic = topicOf(writer.services.pubsub)
    const deaf = await gossipers.add([writer])
    const given = new AbortController()
    const failure = failureOf(topic.publish(adaptation(1), { to: deaf.peerId, signal: given.signal }))
    given.abort(new Error('enough'))
    expect((await failure).message).to.equal('enough')
    expect((await failureOf(topic.publish(adaptation(1), { signal: given.signal }))).message).to.equal('enough')
  })

  it('refuses to write more than is gossiped', async () => {
    const topic = topicOf((await gossipers.add()).services.pubsub)
    const failure = await failureOf(topic.publish(adaptation(1, { sites: new Array<string>(300).fill('x'.repeat(256)) })))
    expect(failure.name).to.equal('ProtocolError')
  })

  it('counts bytes by what they are for, at both ends, and as of the job', async () => {
    const [writer, reader] = [await gossipers.add(), await gossipers.add()]
    await reader.dial(writer.getMultiaddrs())
    const [sent, received] = [new Traffic(), new Traffic()]
    const [writing, reading] = [topicOf(writer.services.pubsub, JOB, sent), topicOf(reader.services.pubsub, JOB, received)]
    const messages: JobMessage[] = [adaptation(1), { type: 'contribution', record: await signedRecord(1) }]
    for (const message of messages) {
      const event = next(reading, message.type)
      await writing.publish(message, { to: reader.peerId, signal: soon() })
      await event
    }
    const [first, second] = messages.map(message => encodeMessage(message).byteLength)
    expect(sent.report()).to.deep.equal({ adaptation: { sent: first, received: 0 }, contribution: { sent: second, received: 0 } })
    expect(received.report()).to.deep.equal({ adaptation: { sent: 0, received: first }, contribution: { sent: 0, received: second } })
    expect(sent.byJob()).to.deep.equal({ [JOB]: { sent: first + second, received: 0 } })
    expect(received.byJob()).to.deep.equal({ [JOB]: { sent: 0, received: first + second } })
  })

  it('of two jobs on one node: each hears its own', async () => {
    const [writer, reader] = [await gossipers.add(), await gossipers.add()]
    await reader.dial(writer.getMultiaddrs())
    const reading = [JOB, OTHER_JOB].map(job => topicOf(reader.services.pubsub, job))
    const heard = reading.map(heardOn)
    for (const job of [OTHER_JOB, JOB]) {
      const event = next(reading[job === JOB ? 0 : 1], 'adaptation')
      await topicOf(writer.services.pubsub, job).publish(adaptation(1, { job }), { to: reader.peerId, signal: soon() })
      await event
    }
    expect(heard.map(messages => messages.map(message => 'job' in message && message.job))).to.deep.equal([[JOB], [OTHER_JOB]])
  })

  it('hears nothing any more once stopped', async () => {
    const [writer, reader] = [await gossipers.add(), await gossipers.add()]
    await reader.dial(writer.getMultiaddrs())
    const writing = topicOf(writer.services.pubsub)
    const reading = topicOf(reader.services.pubsub)
    const heard = heardOn(reading)
    const event = next(reading, 'adaptation')
    await writing.publish(adaptation(1), { to: reader.peerId, signal: soon() })
    await event
    const unsubscribed = pEvent(writer.services.pubsub, 'subscription-change', { signal: soon() })
    reading.stop()
    await unsubscribed
    expect(await writing.publish(adaptation(2))).to.deep.equal([])
    expect(heard).to.have.length(1)
  })

  describe('neither takes nor passes on', () => {
    const forgeries: Record<string, () => Uint8Array | Promise<Uint8Array>> = {
      noise: () => randomBytes(100).fill(0xff),
      'what is no message': () => encodeMessage({ surprise: true }),
      'a message with a key too many': () => encodeMessage({ ...adaptation(1), surprise: true }),
      'a message of another type': () => encodeMessage({ ...adaptation(1), type: 'surprise' }),
      'adaptation data of another job': () => encodeMessage(adaptation(1, { job: OTHER_JOB })),
      'adaptation data of no sites': () => encodeMessage(adaptation(1, { sites: [] })),
      'adaptation data whose manifest contradicts itself': () => encodeMessage(adaptation(1, { manifest: { ...manifest, size: 11 } })),
      'more than is gossiped': () => encodeMessage(adaptation(1, { sites: new Array<string>(300).fill('x'.repeat(256)) })),
      'a contribution to another job': async () => encodeMessage({ type: 'contribution', record: await signedRecord(1, OTHER_JOB) }),
      'a contribution whose signature is wrong': async () => encodeMessage({ type: 'contribution', record: { ...await signedRecord(1), tokens: 10 ** 9 } })
    }
    for (const [what, forge] of Object.entries(forgeries)) {
      it(what, async () => {
        const { middle, topic, end, passedOn } = await line()
        const heard = heardOn(topic)
        const liar = await gossipers.add([middle])
        await listening(liar.services.pubsub, NAME, middle.peerId)
        await gossips(liar, await forge())
        const right = [adaptation(2), { type: 'contribution', record: await signedRecord(2) } satisfies JobMessage].map(encodeMessage)
        const both = pEvent(end.services.pubsub, 'message', { filter: () => passedOn.length === 2, signal: soon() })
        for (const bytes of right) await gossips(liar, bytes)
        await both
        expect(passedOn.map(hashOf).sort()).to.deep.equal(right.map(hashOf).sort())
        expect(heard.map(({ type }) => type).sort()).to.deep.equal(['adaptation', 'contribution'])
      })
    }

    it('what nobody has signed', async () => {
      const { middle, topic, end, passedOn } = await line()
      const heard = heardOn(topic)
      const unsigned = await gossipers.add([middle], 'StrictNoSign')
      await listening(unsigned.services.pubsub, NAME, middle.peerId)
      await gossips(unsigned, encodeMessage(adaptation(1)))
      const signing = await gossipers.add([middle])
      await listening(signing.services.pubsub, NAME, middle.peerId)
      const passed = pEvent(end.services.pubsub, 'message', { signal: soon() })
      await gossips(signing, encodeMessage(adaptation(2)))
      await passed
      expect(passedOn).to.deep.equal([encodeMessage(adaptation(2))])
      expect(heard.map(({ from }) => from.toString())).to.deep.equal([signing.peerId.toString()])
    })
  })

  it('is long enough for the largest blob that there may be', () => {
    const largest = manifestOf(new Uint8Array(1024), 1) // as many chunks as a manifest may have
    expect(encodeMessage(adaptation(1, { manifest: largest })).byteLength).to.be.below(MAX_ANNOUNCEMENT_BYTES)
  })
})

function hashOf (bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Sends what may be anything, past what a topic checks. */
async function gossips ({ services: { pubsub } }: Gossiper, bytes: Uint8Array): Promise<void> {
  const { recipients } = await pubsub.publish(NAME, bytes)
  expect(recipients).to.have.length(1)
}

describe('topic on a mesh', () => {
  const nodes = new Nodes()
  afterEach(async () => { await nodes.stop() })

  it('does not listen any more to a peer of whose messages three were rejected', async () => {
    const [reader, liar, honest] = [await nodes.add(), await nodes.add(), await nodes.add()]
    const topic = jobTopic({ job: JOB })(reader.services.pubsub)
    const steps: number[] = []
    topic.addEventListener('adaptation', ({ detail: { step } }) => steps.push(step))
    topic.start()
    for (const { services } of [liar, honest]) await listening(services.pubsub, NAME, reader.peerId)

    for (let i = 0; i < 3; i++) await gossips(liar, randomBytes(100))
    while (scoreOf(reader.services.pubsub, liar.peerId) > -80) await pEvent(reader.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    await gossips(liar, encodeMessage(adaptation(1)))
    const heard = pEvent(topic, 'adaptation', { signal: soon() })
    await gossips(honest, encodeMessage(adaptation(2)))
    await heard
    await pEvent(reader.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    expect(steps).to.deep.equal([2])
    expect(scoreOf(reader.services.pubsub, honest.peerId)).to.be.at.least(0)
  })
})
