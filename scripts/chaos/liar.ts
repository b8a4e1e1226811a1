import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import type { PeerId, PrivateKey } from '@libp2p/interface'
import { encodeAdapter } from '../../src/gl/adapter-message.js'
import { jobId } from '../../src/job.js'
import { frameOfChunk } from '../../src/protocols/blob/chunk-frame.js'
import { BLOB_PROTOCOL, BlobStore } from '../../src/protocols/blob/index.js'
import { type ContributionRecord, signRecord } from '../../src/protocols/contribution/index.js'
import { answerer } from '../../src/protocols/frames.js'
import { decodeMessage } from '../../src/protocols/message.js'
import { type JobTopic, jobTopic } from '../../src/protocols/topic/index.js'
import { requestSchema } from '../../src/protocols/blob/schema.js'
import { chunkOf } from '../../src/tensor/chunks.js'
import type { AdapterTensors } from '../../src/types.js'
import { below, oneOf, randomBytes } from '../fuzz/random.js'
import { JOB, newAdapter, SITES, type World } from './world.js'

/** What it does, at moments that are drawn. */
const LIES = ['forges', 'replays', 'has other shapes', 'is no number', 'signs two of one round', 'does not give', 'contributes'] as const

/** A member that does as it likes, but cannot sign for others. */
export class Liar {
  readonly peer: PeerId
  /** Records that it has told of. */
  lies = 0
  readonly #world: World
  readonly #identity: PrivateKey
  readonly #topic: JobTopic
  readonly #store = new BlobStore()
  readonly #heard: ContributionRecord[] = []
  #round = 0

  private constructor (world: World, identity: PrivateKey, topic: JobTopic) {
    this.#world = world
    this.#identity = identity
    this.#topic = topic
    this.peer = peerIdFromPrivateKey(identity)
  }

  static async join (world: World, identity: PrivateKey): Promise<Liar> {
    const endpoint = world.network.join(peerIdFromPrivateKey(identity), 'liar')
    const topic = jobTopic({ job: jobId(JOB) })(endpoint.pubsub)
    const liar = new Liar(world, identity, topic)
    topic.addEventListener('contribution', ({ detail: { record } }) => liar.#heard.push(record))
    topic.start()
    await endpoint.handle(BLOB_PROTOCOL, answerer({ maxBytes: 256, maxUnread: 8, timeout: 60_000, kind: 'blob', counter: undefined, maxStreams: 64 }, async (frames, peer) => {
      const { id, chunks } = decodeMessage(requestSchema, await frames.read())
      const held = liar.#store.get(id)
      if (held?.to?.some(other => other.equals(peer)) === false) throw new Error('not for you')
      for (const index of chunks) await frames.write(frameOfChunk(held === undefined ? randomBytes(64, world.random) : chunkOf(held.bytes, held.manifest, index)))
    }))
    return liar
  }

  async lie (): Promise<void> {
    const { random, log } = this.#world
    const lie = oneOf(LIES, random)
    log(`liar ${lie}`)
    await this.#do(lie)
  }

  async #do (lie: typeof LIES[number]): Promise<void> {
    const { random, network } = this.#world
    const known = this.#heard.length === 0 ? undefined : oneOf(this.#heard, random)
    switch (lie) {
      case 'forges':
        if (known !== undefined) await this.#tell({ ...known, round: known.round + 1 + below(3, random) })
        return
      case 'replays':
        if (known !== undefined) await this.#tell(known)
        return
      case 'has other shapes':
        await this.#tell(await this.#sign(encodeAdapter(new Map([[SITES[0].name, new Map([['lora_A.weight', { shape: [1, 1], values: new Float32Array(1) }]])]]))))
        return
      case 'is no number':
        await this.#tell(await this.#sign(encodeAdapter(withNaN(newAdapter(this.#world)))))
        return
      case 'signs two of one round': {
        const peers = this.#world.members()
        const few = network.some(peers, below(peers.length, random))
        const [one, other] = [await this.#sign(encodeAdapter(newAdapter(this.#world)), few), await this.#sign(encodeAdapter(newAdapter(this.#world)), peers.filter(peer => !few.includes(peer)), 0)]
        await this.#tell(one)
        await this.#tell(other)
        return
      }
      case 'does not give':
        await this.#tell(await this.#sign(encodeAdapter(newAdapter(this.#world)), []))
        return
      case 'contributes':
        await this.#tell(await this.#sign(encodeAdapter(newAdapter(this.#world))))
    }
  }

  /** @param to who may pull it @default anyone */
  async #sign (bytes: Uint8Array, to?: readonly PeerId[], more = 1): Promise<ContributionRecord> {
    const manifest = this.#store.put(bytes, 'contribution')
    if (to !== undefined) {
      this.#store.delete(manifest.id)
      this.#store.add({ manifest, bytes, kind: 'contribution', to })
    }
    this.#round += more
    return await signRecord(this.#identity, { job: jobId(JOB), round: this.#round, tokens: 50, final: false, manifest })
  }

  async #tell (record: ContributionRecord): Promise<void> {
    this.lies++
    await this.#topic.publish({ type: 'contribution', record })
  }
}

function withNaN (adapter: AdapterTensors): AdapterTensors {
  return new Map([...adapter].map(([site, own]) => [site, new Map([...own].map(([name, { shape, values }]) => [name, { shape, values: values.with(0, NaN) }]))]))
}
