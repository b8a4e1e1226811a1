import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { decode } from 'cborg'
import { lpStream } from '@libp2p/utils'
import { pEvent } from 'p-event'
import { BLOB_PROTOCOL, blob, type Blobs, BlobStore } from '../../src/protocols/blob/index.js'
import { encodeMessage } from '../../src/protocols/message.js'
import { Traffic } from '../../src/protocols/traffic.js'
import type { Mesh } from '../../src/node/mesh.js'
import { chunkOf, type Manifest, manifestOf } from '../../src/tensor/chunks.js'
import { answerWith, endOf, Nodes, soon } from './nodes.js'
import { failureOf } from '../support/failure.js'

const KIND = 'adaptation'

type Lie = (chunk: Uint8Array) => object | Promise<object>

describe('blob', () => {
  const nodes = new Nodes()
  let asker: Mesh
  let store: BlobStore
  let traffic: Traffic
  let blobs: Blobs

  beforeEach(async () => {
    asker = await nodes.add()
    store = new BlobStore()
    traffic = new Traffic()
    blobs = blob({ store, counter: traffic, idleTimeout: 500 })(asker)
    await blobs.start()
  })
  afterEach(async () => { await nodes.stop() })

  async function holder (): Promise<{ node: Mesh, store: BlobStore, traffic: Traffic }> {
    const node = await nodes.add()
    const traffic = new Traffic()
    const store = new BlobStore()
    await blob({ store, counter: traffic })(node).start()
    return { node, store, traffic }
  }

  /** A holder that gives the right chunks but for one. */
  async function liar (manifest: Manifest, bytes: Uint8Array, wrong: number, lie: Lie): Promise<Mesh> {
    const node = await nodes.add()
    await answerWith(node, BLOB_PROTOCOL, async function * (request) {
      for (const index of (decode(request) as { chunks: number[] }).chunks) {
        const chunk = chunkOf(bytes, manifest, index)
        yield index === wrong ? await lie(chunk) : { chunk }
      }
    })
    return node
  }

  for (const size of [0, 1, 512 * 1024, 512 * 1024 + 1, 6_000_001]) {
    it(`pulls ${size} bytes whole`, async () => {
      const bytes = randomBytes(size)
      const other = await holder()
      const manifest = other.store.put(bytes, KIND)
      const pulled = await blobs.pull(manifest, [other.node.peerId], { kind: KIND, signal: soon() })
      expect(bytes.equals(pulled)).to.equal(true)
    })
  }

  it('tells how far it is, and counts bytes at both ends under their kind', async () => {
    const other = await holder()
    const manifest = other.store.put(randomBytes(1_300_000), KIND)
    const progress: number[] = []
    await blobs.pull(manifest, [other.node.peerId], { kind: KIND, signal: soon(), onProgress: received => progress.push(received) })
    expect(progress).to.deep.equal([251_424, 775_712, 1_300_000])
    expect(traffic.report()[KIND].received).to.be.within(1_300_000, 1_300_100)
    expect(other.traffic.report()[KIND].sent).to.equal(traffic.report()[KIND].received)
  })

  it('counts the same bytes for whichever job they are pulled, at both ends', async () => {
    const other = await holder()
    const manifest = other.store.put(randomBytes(1_300_000), KIND)
    const jobs = ['a', 'b'].map(digit => digit.repeat(64))
    for (const job of [...jobs, undefined]) await blobs.pullInto(new Uint8Array(1_300_000), manifest, [other.node.peerId], { kind: KIND, job, signal: soon() })
    const counted = traffic.byJob()
    expect(Object.keys(counted)).to.deep.equal([...jobs, 'none'])
    for (const [job, { sent, received }] of Object.entries(counted)) {
      expect(received, job).to.be.within(1_300_000, 1_300_100)
      expect(other.traffic.byJob()[job], job).to.deep.equal({ sent: received, received: sent })
    }
  })

  it('resets the stream of an asker whose request is malformed, and counts it as of no job', async () => {
    const other = await holder()
    const requests = [randomBytes(100), encodeMessage({ id: 'a'.repeat(64), job: 'mine', chunks: [0] })]
    for (const request of requests) expect(await endOf(asker, other.node, BLOB_PROTOCOL, request)).to.equal('reset')
    expect(other.traffic.byJob()).to.deep.equal({ none: { sent: 0, received: requests[0].byteLength + requests[1].byteLength } })
  })

  it('serves what it has pulled, when the first holder is gone', async () => {
    const bytes = randomBytes(700_000)
    const first = await holder()
    const manifest = first.store.put(bytes, KIND)
    await blobs.pull(manifest, [first.node.peerId], { kind: KIND, signal: soon() })
    const late = await nodes.add()
    const lateBlobs = blob({ store: new BlobStore(), idleTimeout: 500 })(late)
    const stopped = first.node.peerId
    await first.node.stop()
    const pulled = await lateBlobs.pull(manifest, [stopped, asker.peerId], { kind: KIND, signal: soon() })
    expect(bytes.equals(pulled)).to.equal(true)
  })

  it('does not pull what it holds', async () => {
    const manifest = store.put(randomBytes(1000), KIND)
    expect(await blobs.pull(manifest, [], { kind: KIND, signal: soon() })).to.have.length(1000)
  })

  it('shares one transfer among those who want one blob at the same time', async () => {
    const other = await holder()
    const manifest = other.store.put(randomBytes(3_000_000), KIND)
    const all = await Promise.all([1, 2, 3].map(async () => await blobs.pull(manifest, [other.node.peerId], { kind: KIND, signal: soon() })))
    expect(new Set(all).size).to.equal(1)
    expect(traffic.report()[KIND].received).to.be.below(3_001_000)
  })

  it('gives what is for one peer to nobody else', async () => {
    const bytes = randomBytes(1000)
    const other = await holder()
    const [friend, asked] = [await nodes.add(), soon()]
    other.store.add({ manifest: manifestOf(bytes), bytes, kind: KIND, to: [friend.peerId] })
    expect((await failureOf(blobs.pull(manifestOf(bytes), [other.node.peerId], { kind: KIND, signal: asked }))).name).to.equal('BlobUnavailableError')
    const theirs = blob({ store: new BlobStore() })(friend)
    await theirs.start()
    expect(bytes.equals(await theirs.pull(manifestOf(bytes), [other.node.peerId], { kind: KIND, signal: asked }))).to.equal(true)
  })

  it('goes on for the others when one gives up', async () => {
    const bytes = randomBytes(3_000_000)
    const other = await holder()
    const manifest = other.store.put(bytes, KIND)
    const impatient = new AbortController()
    const first = blobs.pull(manifest, [other.node.peerId], { kind: KIND, signal: impatient.signal, onProgress: () => impatient.abort(new Error('enough')) })
    const second = blobs.pull(manifest, [other.node.peerId], { kind: KIND, signal: soon() })
    expect((await failureOf(first)).message).to.equal('enough')
    expect(bytes.equals(await second)).to.equal(true)
  })

  it('asks its own holders when those of the others do not have it', async () => {
    const bytes = randomBytes(1000)
    const empty = await holder()
    const other = await holder()
    const manifest = other.store.put(bytes, KIND)
    const first = blobs.pull(manifest, [empty.node.peerId], { kind: KIND, signal: soon() })
    const second = blobs.pull(manifest, [other.node.peerId], { kind: KIND, signal: soon() })
    expect((await failureOf(first)).name).to.equal('BlobUnavailableError')
    expect(bytes.equals(await second)).to.equal(true)
  })

  it('takes holders as they come', async () => {
    const bytes = randomBytes(1000)
    const other = await holder()
    const manifest = manifestOf(bytes)
    function * holders (): Generator<Mesh['peerId']> {
      yield other.node.peerId // it has nothing yet
      other.store.put(bytes, KIND)
      yield other.node.peerId
    }
    expect(bytes.equals(await blobs.pull(manifest, holders(), { kind: KIND, signal: soon() }))).to.equal(true)
  })

  it('ends with its signal though the holder says nothing', async () => {
    const bytes = randomBytes(10)
    const silent = await liar(manifestOf(bytes), bytes, 0, async () => await new Promise<object>(() => { /* for ever */ }))
    const failure = await failureOf(blobs.pull(manifestOf(bytes), [silent.peerId], { kind: KIND, signal: AbortSignal.timeout(50) }))
    expect(failure.name).to.equal('TimeoutError')
  })

  describe('of several holders at once', () => {
    const bytes = randomBytes(8_000_000) // 16 chunks
    const manifest = manifestOf(bytes)

    it('takes from each what the others do not give, and every chunk once', async () => {
      const holders = await Promise.all([1, 2, 3].map(async () => await holder()))
      for (const { store } of holders) store.put(bytes, KIND)
      const pulled = await blobs.pull(manifest, holders.map(({ node }) => node.peerId), { kind: KIND, signal: soon() })
      expect(bytes.equals(pulled)).to.equal(true)
      for (const { traffic } of holders) expect(traffic.report()[KIND].sent).to.be.at.least(4 * 500_000)
      expect(traffic.report()[KIND].received).to.be.below(8_001_000)
    })

    it('leaves to the others what a slow one is not asked for', async () => {
      let release = (): void => {}
      const released = new Promise<void>(resolve => { release = resolve })
      const slow = await liar(manifest, bytes, 1, async chunk => {
        await released
        return { chunk }
      })
      const fast = await holder()
      fast.store.put(bytes, KIND)
      const onProgress = (received: number): void => { if (received >= 8_000_000 - 4 * 512 * 1024) release() } // all is here but what the slow one was asked for
      const patient = blob({ store: new BlobStore(), idleTimeout: 20_000 })(asker)
      const pulled = await patient.pull(manifest, [slow.peerId, fast.node.peerId], { kind: KIND, signal: soon(), onProgress })
      expect(bytes.equals(pulled)).to.equal(true)
      expect(fast.traffic.report()[KIND].sent).to.be.within(5_300_000, 5_800_000) // 11 chunks, the short one maybe among them
    })

    it('asks those that gave for what another one did not', async () => {
      const good = await holder()
      good.store.put(bytes, KIND)
      const bad = await Promise.all([1, 2, 3].map(async i => await liar(manifest, bytes, i, () => ({ refused: 'no' }))))
      const into = new Uint8Array(bytes.byteLength)
      await blobs.pullInto(into, manifest, [bad[0].peerId, good.node.peerId, bad[1].peerId, bad[2].peerId], { kind: KIND, signal: soon() })
      expect(bytes.equals(into)).to.equal(true)
    })

    it('asks one alone for what is small', async () => {
      const small = randomBytes(4 * 512 * 1024)
      const [first, second] = [await holder(), await holder()]
      for (const { store } of [first, second]) store.put(small, KIND)
      await blobs.pull(manifestOf(small), [first.node.peerId, second.node.peerId], { kind: KIND, signal: soon() })
      expect(second.traffic.report()).to.deep.equal({})
    })
  })

  describe('of holders that lie', () => {
    const bytes = randomBytes(2_500_000)
    const manifest = manifestOf(bytes)
    const lies: Record<string, Lie> = {
      'with a wrong byte': chunk => ({ chunk: chunk.map((byte, i) => i === 7 ? byte ^ 1 : byte) }),
      'with a chunk cut short': chunk => ({ chunk: chunk.subarray(1) }),
      'with a frame larger than any chunk': () => ({ chunk: new Uint8Array(2_000_000) }),
      'with what is no answer': () => ({ surprise: true }),
      'and refuse': () => ({ refused: 'no' }),
      'and say nothing': async () => await new Promise<object>(() => { /* for ever */ })
    }
    for (const [how, lie] of Object.entries(lies)) {
      it(`${how}: the next holder gives what is missing`, async () => {
        const bad = await liar(manifest, bytes, 2, lie)
        const good = await holder()
        good.store.put(bytes, KIND)
        const pulled = await blobs.pull(manifest, [bad.peerId, good.node.peerId], { kind: KIND, signal: soon() })
        expect(bytes.equals(pulled)).to.equal(true)
        expect(good.traffic.report()[KIND].sent).to.be.below(2_000_000) // the first two chunks were right
      })
    }

    it('names the reason of each when none gives it', async () => {
      const bad = await liar(manifest, bytes, 0, lies['with a wrong byte'])
      const silent = await liar(manifest, bytes, 0, lies['and say nothing'])
      const empty = await holder()
      const failure = await failureOf(blobs.pull(manifest, [bad.peerId, silent.peerId, empty.node.peerId], { kind: KIND, signal: soon() }))
      expect(failure.name).to.equal('BlobUnavailableError')
      expect(failure.message).to.include(`${bad.peerId.toString()}: chunk 0`)
        .and.include(`${silent.peerId.toString()}: `).and.include('500 ms')
        .and.include(`${empty.node.peerId.toString()}: it refused: not held here`)
    })

    it('refuses a manifest that contradicts itself before asking anyone', async () => {
      const failure = await failureOf(blobs.pull({ ...manifest, size: manifest.size - 1 }, [], { kind: KIND, signal: soon() }))
      expect(failure.name).to.equal('InvalidTensorError')
    })
  })

  describe('into memory of the caller', () => {
    for (const size of [0, 1, 512 * 1024, 1_300_000]) {
      it(`puts ${size} bytes where it is told, and nothing around them`, async () => {
        const bytes = randomBytes(size)
        const other = await holder()
        const manifest = other.store.put(bytes, KIND)
        const around = new Uint8Array(size + 30).fill(0xee)
        await blobs.pullInto(around.subarray(10, 10 + size), manifest, [other.node.peerId], { kind: KIND, signal: soon() })
        expect(bytes.equals(around.subarray(10, 10 + size))).to.equal(true)
        expect([...around.subarray(0, 10), ...around.subarray(10 + size)]).to.deep.equal(Array.from({ length: 30 }, () => 0xee))
      })
    }

    it('does not hold what it has pulled', async () => {
      const other = await holder()
      const manifest = other.store.put(randomBytes(1000), KIND)
      await blobs.pullInto(new Uint8Array(1000), manifest, [other.node.peerId], { kind: KIND, signal: soon() })
      expect(store.get(manifest.id)).to.equal(undefined)
    })

    it('does not serve what it has pulled', async () => {
      const other = await holder()
      const manifest = other.store.put(randomBytes(1000), KIND)
      await blobs.pullInto(new Uint8Array(1000), manifest, [other.node.peerId], { kind: KIND, signal: soon() })
      const late = blob({ store: new BlobStore(), idleTimeout: 500 })(other.node)
      const failure = await failureOf(late.pull(manifest, [asker.peerId], { kind: KIND, signal: soon() }))
      expect(failure.name).to.equal('BlobUnavailableError')
      expect(failure.message).to.include('it refused: not held here')
    })

    it('is given by the next holder what the first lied about', async () => {
      const bytes = randomBytes(1_300_000)
      const manifest = manifestOf(bytes)
      const bad = await liar(manifest, bytes, 1, chunk => ({ chunk: chunk.map(byte => byte ^ 1) }))
      const good = await holder()
      good.store.put(bytes, KIND)
      const into = new Uint8Array(bytes.byteLength)
      await blobs.pullInto(into, manifest, [bad.peerId, good.node.peerId], { kind: KIND, signal: soon() })
      expect(bytes.equals(into)).to.equal(true)
    })

    it('is given also by a holder that writes its CBOR otherwise', async () => {
      const bytes = randomBytes(1000)
      const manifest = manifestOf(bytes)
      const other = await nodes.add()
      await other.handle(BLOB_PROTOCOL, async stream => {
        const frames = lpStream(stream)
        await frames.read()
        await frames.write(Buffer.concat([Buffer.from('a1656368756e6b5a000003e8', 'hex'), bytes])) // the length in four bytes, where two would do
      })
      const into = new Uint8Array(1000)
      await blobs.pullInto(into, manifest, [other.peerId], { kind: KIND, signal: soon() })
      expect(bytes.equals(into)).to.equal(true)
    })

    it('refuses to go where there is too little or too much room', async () => {
      const other = await holder()
      const manifest = other.store.put(randomBytes(1000), KIND)
      for (const size of [999, 1001]) {
        expect((await failureOf(blobs.pullInto(new Uint8Array(size), manifest, [other.node.peerId], { kind: KIND, signal: soon() }))).name).to.equal('InvalidTensorError')
      }
    })

    it('fails when the only holder lies about a chunk', async () => {
      const bytes = randomBytes(1_300_000)
      const manifest = manifestOf(bytes)
      const bad = await liar(manifest, bytes, 1, chunk => ({ chunk: chunk.map((byte, i) => i === 7 ? byte ^ 1 : byte) }))
      const failure = await failureOf(blobs.pullInto(new Uint8Array(bytes.byteLength), manifest, [bad.peerId], { kind: KIND, signal: soon() }))
      expect(failure.name).to.equal('BlobUnavailableError')
      expect(failure.message).to.include(`${bad.peerId.toString()}: chunk 1`)
    })

    it('refuses a manifest that contradicts itself', async () => {
      const other = await holder()
      const manifest = other.store.put(randomBytes(1000), KIND)
      const failure = await failureOf(blobs.pullInto(new Uint8Array(999), { ...manifest, size: 999 }, [other.node.peerId], { kind: KIND, signal: soon() }))
      expect(failure.name).to.equal('InvalidTensorError')
    })
  })

  it('cuts off an asker that floods it with requests', async () => {
    const other = await holder()
    const manifest = other.store.put(randomBytes(5_000_000), KIND)
    const stream = await asker.dialProtocol(other.node.peerId, BLOB_PROTOCOL)
    const request = encodeMessage({ id: manifest.id, chunks: [0, 1, 2, 3] })
    const closed = pEvent(stream, 'close', { signal: soon() })
    for (let i = 0; i < 10_000 && stream.status === 'open'; i++) stream.send(Uint8Array.of(request.byteLength, ...request))
    await closed
    expect(stream.status).to.equal('reset')
  })

  it('leaves no stream open', async () => {
    const other = await holder()
    for (let i = 0; i < 5; i++) {
      const manifest = other.store.put(randomBytes(10 + i), KIND)
      await blobs.pull(manifest, [other.node.peerId], { kind: KIND, signal: soon() })
    }
    const streams = (): number => asker.getConnections().flatMap(connection => connection.streams).filter(({ protocol }) => protocol === BLOB_PROTOCOL).length
    while (streams() > 0) await pEvent(asker.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
  })
})

describe('BlobStore', () => {
  it('evicts what was not used for longest', () => {
    const store = new BlobStore(2500)
    const [a, b, c] = [1, 2, 3].map(i => store.put(randomBytes(1000).fill(i, 0, 1), KIND))
    expect([a, b, c].map(({ id }) => store.get(id) !== undefined)).to.deep.equal([false, true, true])
    store.get(b.id)
    store.put(randomBytes(1000), KIND)
    expect([b, c].map(({ id }) => store.get(id) !== undefined)).to.deep.equal([true, false])
  })

  it('keeps the newest though it is larger than all that it may hold', () => {
    const store = new BlobStore(10)
    const { id } = store.put(randomBytes(1000), KIND)
    expect(store.get(id)?.bytes).to.have.length(1000)
    store.put(randomBytes(5), KIND)
    expect(store.get(id)).to.equal(undefined)
  })

  it('holds a blob once', () => {
    const store = new BlobStore(2500)
    const bytes = randomBytes(1000)
    const first = store.put(randomBytes(1000), KIND)
    for (let i = 0; i < 3; i++) store.put(bytes, KIND)
    expect(store.get(first.id)).to.not.equal(undefined)
  })
})
