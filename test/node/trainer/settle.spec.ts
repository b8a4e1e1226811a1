import { setImmediate as turn } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { type JoinedJob, Jobs } from '../../../src/node/jobs.js'
import { createMesh, type Mesh } from '../../../src/node/mesh.js'
import type { Reporter } from '../../../src/node/reporter.js'
import { settle, type SettleOptions } from '../../../src/node/trainer/settle.js'
import { blob, type BlobComponents, type Blobs, BlobStore } from '../../../src/protocols/blob/index.js'
import { decodeMessage } from '../../../src/protocols/message.js'
import type { JobMessage, PubSub } from '../../../src/protocols/topic/index.js'
import { jobMessageSchema } from '../../../src/protocols/topic/schema.js'
import { Traffic } from '../../../src/protocols/traffic.js'
import { SITES } from '../../gl/adaptation.js'
import { connect, LOOPBACK, soon } from '../../protocols/nodes.js'
import { adapterOf, Author, jobOf, type Signed } from '../author.js'
import { failureOf } from '../../support/failure.js'

/** Longer than any test: nobody is given up. In milliseconds. */
const FOR_EVER = 10 ** 9

const JOB = jobOf('collaboration')

/** Keeps what it is told. */
class Told implements Reporter {
  readonly lines: string[] = []
  readonly progressed: string[] = []

  progress (_: string, done: number, total: number): void {
    this.progressed.push(`${done}/${total}`)
  }

  log (line: string): void {
    this.lines.push(line)
  }

  /** Waits until the progress is this. */
  async until (progress: string): Promise<void> {
    const signal = soon()
    while (this.progressed.at(-1) !== progress) {
      signal.throwIfAborted()
      await turn()
    }
  }
}

describe('settling a job', () => {
  let store: BlobStore
  let joined: JoinedJob
  let told: Told
  let logged: Error[]
  let stop: AbortController

  beforeEach(async () => {
    store = new BlobStore()
    logged = []
    told = new Told()
    stop = new AbortController()
    joined = new Jobs({ identity: await generateKeyPair('Ed25519'), store, log: error => logged.push(error as Error) }).join(JOB, SITES)
    await joined.contribute(adapterOf(0), { tokens: 10, final: true })
  })
  afterEach(() => stop.abort())

  /** A member's contribution comes, and what it names is at hand. */
  function comes ({ record, bytes }: Signed): void {
    store.put(bytes, 'contribution')
    joined.members.offer(record)
  }

  async function ends (options: Partial<SettleOptions> = {}): Promise<void> {
    await settle(joined, { expected: 1, patience: FOR_EVER, reporter: told, ...options }, stop.signal)
  }

  /** What can be asked whether it has ended. */
  function start (options: Partial<SettleOptions>): { readonly done: Promise<void>, ended: boolean } {
    const done = ends(options)
    const running = { done, ended: false }
    done.then(() => { running.ended = true }, () => { running.ended = true })
    return running
  }

  it('ends at once for a trainer of which nobody else is expected', async () => {
    await ends()
    expect(told.progressed).to.deep.equal([])
    expect(told.lines).to.deep.equal([])
  })

  it('ends when the final contributions of all that are expected are here, and not before', async () => {
    const [first, second] = await Author.several(2, JOB)
    const settling = start({ expected: 3 })
    await told.until('1/3')
    comes(await first.signs(adapterOf(1), { round: 1 }))
    comes(await second.signs(adapterOf(2), { round: 1, final: true }))
    await told.until('2/3')
    comes(await first.signs(adapterOf(3), { round: 2 }))
    while (joined.members.heardOf(first.peer)?.round !== 2 || !joined.members.holdsLatestOf(first.peer)) await turn()
    await told.until('2/3')
    expect(settling.ended).to.equal(false)
    comes(await first.signs(adapterOf(4), { round: 3, final: true }))
    await settling.done
    expect(joined.members.held.map(({ round, record: { final } }) => `${round} ${final}`).sort()).to.deep.equal(['1 true', '1 true', '3 true'])
    expect(told.lines).to.deep.equal([])
  })

  it('ends at once when all are here already', async () => {
    for (const author of await Author.several(2, JOB)) comes(await author.signs(adapterOf(1), { round: 5, final: true }))
    while (joined.members.held.length < 3) await turn()
    await ends({ expected: 3 })
    expect(told.progressed).to.deep.equal([])
  })

  it('does not count as one that is expected who has told of a contribution that nobody gives', async () => {
    const patience = 2000
    const [strange, last] = await Author.several(2, JOB)
    joined.members.offer((await strange.signs(adapterOf(1), { round: 1, final: true })).record)
    while (Date.now() - joined.members.newsAt(strange.peer) < patience) await turn()
    const settling = start({ expected: 2, patience })
    await told.until('1/2')
    expect(settling.ended).to.equal(false)
    comes(await last.signs(adapterOf(2), { round: 1, final: true }))
    await settling.done
    expect(joined.members.held.map(({ peer }) => peer)).to.have.members([joined.peer, last.peer])
  })

  it('waits for members that nobody expected, once they are heard of', async () => {
    const author = await Author.of(JOB)
    comes(await author.signs(adapterOf(1), { round: 1 }))
    const settling = start({ expected: 1 })
    await told.until('1/2')
    expect(settling.ended).to.equal(false)
    comes(await author.signs(adapterOf(2), { round: 2, final: true }))
    await settling.done
  })

  it('waits for the last auxiliaries themselves, not only for the news of them', async () => {
    const last = await (await Author.of(JOB)).signs(adapterOf(1), { round: 1, final: true })
    const settling = start({ expected: 2 })
    joined.members.offer(last.record)
    while (logged.length === 0) await turn()
    expect(logged[0].name).to.equal('BlobUnavailableError')
    expect(settling.ended).to.equal(false)
    comes(last)
    await settling.done
    expect(joined.members.holdsLatestOf(last.record.peer)).to.equal(true)
  })

  it('does not wait for its own last contribution, which is not for others to give', async () => {
    await joined.contribute(adapterOf(1), { tokens: 20, final: false })
    await ends()
    expect(told.progressed).to.deep.equal([])
  })

  it('does not wait beyond its patience for a member that says nothing, and says so', async () => {
    const silent = await Author.of(JOB)
    comes(await silent.signs(adapterOf(1), { round: 7 }))
    await ends({ expected: 2, patience: 1 })
    expect(told.lines).to.have.length(1)
    expect(told.lines[0]).to.include(silent.peer).and.to.include('round 7')
    expect(joined.members.held.map(({ peer }) => peer), 'what it has contributed stays').to.include(silent.peer)
  })

  it('waits for those that still speak when it gives up one that does not', async () => {
    const [silent, busy] = await Author.several(2, JOB)
    const patience = 2000
    comes(await silent.signs(adapterOf(1), { round: 1 }))
    while (Date.now() - joined.members.newsAt(silent.peer) < patience) await turn()
    comes(await busy.signs(adapterOf(2), { round: 1 }))
    const settling = start({ expected: 3, patience })
    await told.until('2/3')
    expect(settling.ended).to.equal(false)
    comes(await busy.signs(adapterOf(3), { round: 2, final: true }))
    await settling.done
    expect(told.lines).to.have.length(1)
    expect(told.lines[0]).to.include(silent.peer)
  })

  it('does not wait beyond its patience for members that never come, and says so', async () => {
    await ends({ expected: 4, patience: 1 })
    expect(told.lines).to.have.length(1)
    expect(told.lines[0]).to.include('4 members were expected, 1 came')
  })

  it('ends with its signal, before it begins and while it waits', async () => {
    const settling = start({ expected: 2 })
    await told.until('1/2')
    stop.abort(new Error('enough'))
    expect((await failureOf(settling.done)).message).to.equal('enough')
    expect((await failureOf(ends({ expected: 1 }))).message).to.equal('enough')
  })
})

describe('settling a job that is gossiped', () => {
  it('tells of what is held when that changes, and not of all at each news', async () => {
    const published: JobMessage[] = []
    const pubsub = {
      subscribe () {},
      unsubscribe () {},
      getSubscribers: () => [],
      addEventListener () {},
      removeEventListener () {},
      topicValidators: new Map(),
      publish: async (_: string, bytes: Uint8Array) => {
        published.push(decodeMessage(jobMessageSchema, bytes))
        return await Promise.resolve({ recipients: [] })
      }
    } as unknown as PubSub
    const store = new BlobStore()
    const network = { pubsub, blobs: blob({ store })({} as BlobComponents), connectedPeers: () => [], counter: new Traffic() }
    const joined = new Jobs({ identity: await generateKeyPair('Ed25519'), store, log: () => {}, network }).join(JOB, SITES)
    const [author, other] = await Author.several(2, JOB)
    const told = new Told()
    const stop = new AbortController()
    await joined.contribute(adapterOf(0), { tokens: 10, final: true })
    published.length = 0
    const settling = settle(joined, { expected: 3, patience: FOR_EVER, reporter: told }, stop.signal)
    await told.until('1/3')
    for (let round = 1; round <= 20; round++) {
      joined.members.offer((await author.signs(adapterOf(round), { round })).record) // nobody gives them
      await turn()
    }
    expect(published.map(({ type }) => type)).to.deep.equal(['contribution'])

    const { record, bytes } = await other.signs(adapterOf(1), { round: 1 })
    store.put(bytes, 'contribution')
    joined.members.offer(record)
    while (published.length < 2) await turn()
    expect(published.slice(1)).to.deep.equal([{ type: 'contribution', record }])
    stop.abort(new Error('enough'))
    expect((await failureOf(settling)).message).to.equal('enough')
  })
})

describe('settling a job over the mesh', () => {
  const running: Array<{ mesh: Mesh, jobs: Jobs, blobs: Blobs }> = []
  afterEach(async () => {
    await Promise.all(running.splice(0).map(async ({ mesh, jobs, blobs }) => {
      jobs.stop()
      await blobs.stop()
      await mesh.stop()
    }))
  })

  /** A member that has trained, and is connected to nobody. */
  async function member (seed: number): Promise<{ mesh: Mesh, joined: JoinedJob, blobs: Blobs }> {
    const identity = await generateKeyPair('Ed25519')
    const mesh = await createMesh({ identity, listen: LOOPBACK, localFolder: false })
    const [store, counter] = [new BlobStore(), new Traffic()]
    const blobs = blob({ store, counter })(mesh)
    await blobs.start()
    const network = { pubsub: mesh.services.pubsub, blobs, connectedPeers: () => mesh.getPeers(), counter }
    const jobs = new Jobs({ identity, store, log: () => {}, network })
    running.push({ mesh, jobs, blobs })
    const joined = jobs.join(JOB, SITES)
    await joined.contribute(adapterOf(seed), { tokens: 10 * seed, final: true })
    return { mesh, joined, blobs }
  }

  it('ends in one state everywhere, also for who comes when the others have said all', async () => {
    const settled = async ({ joined }: { joined: JoinedJob }): Promise<string> => {
      await settle(joined, { expected: 3, patience: FOR_EVER, reporter: new Told() }, soon())
      return joined.members.stateId()
    }
    const [hub, early, late] = await Promise.all([1, 2, 3].map(member))
    const first = [hub, early].map(settled)
    await connect(early.mesh, hub.mesh)
    while (hub.joined.members.held.length < 2 || early.joined.members.held.length < 2) await pEvent(hub.mesh.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    const last = settled(late)
    await connect(late.mesh, hub.mesh)
    const states = await Promise.all([...first, last])
    expect(new Set(states).size).to.equal(1)
    expect(late.joined.members.held.map(({ tokens }) => tokens).sort()).to.deep.equal([10, 20, 30])
  })

  it('does not end before the others hold the last contribution of its own', async () => {
    const [leaving, other] = await Promise.all([1, 2].map(member))
    await leaving.blobs.stop()
    const told = new Told()
    let ended = false
    const settling = settle(leaving.joined, { expected: 2, patience: FOR_EVER, reporter: told }, soon()).then(() => { ended = true })
    const others = settle(other.joined, { expected: 2, patience: FOR_EVER, reporter: new Told() }, soon())
    await connect(leaving.mesh, other.mesh)
    while (leaving.joined.members.held.length < 2 || other.joined.members.heardOf(leaving.joined.peer) === undefined) await pEvent(leaving.mesh.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    await told.until('1/2')
    expect(other.joined.members.held).to.have.length(1)
    expect(ended).to.equal(false)
    await leaving.blobs.start()
    await Promise.all([settling, others])
    expect(other.joined.members.stateId()).to.equal(leaving.joined.members.stateId())
    expect(other.joined.members.held).to.have.length(2)
  })
})
