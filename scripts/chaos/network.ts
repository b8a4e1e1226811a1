import '../../src/node/promise-with-resolvers.js'
import { type GossipSub, type Message, TopicValidatorResult } from '@chainsafe/libp2p-gossipsub'
import { type Connection, type PeerId, type StreamHandler, TypedEventEmitter } from '@libp2p/interface'
import { Bans } from '../../src/protocols/bans.js'
import type { Answerer, Dialer } from '../../src/protocols/frames.js'
import type { PubSub } from '../../src/protocols/topic/index.js'
import { below } from '../fuzz/random.js'
import { MemoryStream } from './memory-stream.js'
import type { VirtualTime } from './virtual-time.js'

/** What may happen to a message of gossip, as shares of all. */
interface Weather {
  readonly dropped: number
  readonly delayed: number
  readonly doubled: number
}

export interface NetworkInit {
  readonly time: VirtualTime
  readonly random: () => number
  readonly weather: Weather
  readonly log: (event: string) => void
}

/** How long a message takes, in milliseconds, and a delayed one: others overtake it. */
const [LATENCY, DELAY] = [40, 2_500]

/** Members to which one passes a message on. */
const PASSED_ON = 2

/** What befell messages. */
export interface Counts {
  delivered: number
  dropped: number
  delayed: number
  doubled: number
}

/** Stands where libp2p is otherwise: members that are there reach one another, but for what the seed has in store. */
export class Network {
  readonly counts: Counts = { delivered: 0, dropped: 0, delayed: 0, doubled: 0 }
  readonly #init: NetworkInit
  readonly #endpoints = new Map<string, Endpoint>()
  /** Those that are cut off from all others. */
  #apart: ReadonlySet<string> = new Set()
  /** What is to be done when nobody is cut off any more. */
  #onHealed: Array<() => void> = []
  #numbers = 0

  constructor (init: NetworkInit) {
    this.#init = init
  }

  /** A member comes, or comes again. @param name for people */
  join (peer: PeerId, name: string): Endpoint {
    const endpoint = new Endpoint(this, peer, name)
    this.#endpoints.set(peer.toString(), endpoint)
    return endpoint
  }

  /** Cuts some off from the rest until it is healed. */
  part (peers: readonly PeerId[]): void {
    this.#apart = new Set(peers.map(String))
  }

  heal (): void {
    this.#apart = new Set()
    for (const work of this.#onHealed.splice(0)) work()
  }

  /** Those that a member is connected to. */
  neighbours (of: Endpoint): Endpoint[] {
    return [...this.#endpoints.values()].filter(other => other !== of && other.alive && of.alive && !isBanned(of, other))
  }

  /** A message of gossip. */
  send (from: Endpoint, to: Endpoint, arrive: () => void): void {
    const { time, random, weather } = this.#init
    if (random() < weather.dropped) {
      this.counts.dropped++
      return
    }
    const copies = random() < weather.doubled ? 2 : 1
    this.counts.doubled += copies - 1
    for (let copy = 0; copy < copies; copy++) {
      const late = random() < weather.delayed
      if (late) this.counts.delayed++
      time.set(() => {
        if (!from.reaches(to) || this.#isCut(from, to)) {
          this.counts.dropped++
          return
        }
        this.counts.delivered++
        arrive()
      }, random() * (late ? DELAY : LATENCY))
    }
  }

  /** As over TCP: in order, and what is cut off comes later. */
  async dial (from: Endpoint, peer: PeerId, protocol: string, signal?: AbortSignal): Promise<MemoryStream> {
    const { time, random } = this.#init
    await time.delay(random() * LATENCY, signal)
    const to = this.#endpoints.get(peer.toString())
    if (to === undefined || !from.reaches(to)) throw new Error(`${to?.name ?? peer.toString()} is not there`)
    if (this.#isCut(from, to)) await this.#healed(signal)
    const handler = to.handlers.get(protocol)
    if (handler === undefined || !from.reaches(to)) throw new Error(`${to.name} does not speak ${protocol}`)
    const [outbound, inbound] = MemoryStream.pair(String(this.number()), protocol, this.#wire(from, to), this.#wire(to, from))
    from.opened(outbound, to)
    to.opened(inbound, from)
    time.set(() => { Promise.resolve(handler(inbound, { remotePeer: from.peer } as unknown as Connection)).catch(() => {}) }, random() * LATENCY)
    return outbound
  }

  event (line: string): void { this.#init.log(line) }

  /** One that nothing else has. */
  number (): number { return this.#numbers++ }

  /** Some of them, drawn. */
  some<T> (all: readonly T[], count: number): T[] {
    const rest = [...all]
    return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(below(rest.length, this.#init.random), 1)[0])
  }

  #wire (from: Endpoint, to: Endpoint): (arrive: () => void) => void {
    const { time, random } = this.#init
    let before = Promise.resolve()
    return arrive => {
      before = before.then(async () => {
        await time.delay(random() * LATENCY)
        if (this.#isCut(from, to)) await this.#healed()
        if (from.reaches(to)) arrive()
      })
    }
  }

  async #healed (signal?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#onHealed.push(resolve)
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
  }

  #isCut (one: Endpoint, other: Endpoint): boolean {
    return this.#apart.has(one.peer.toString()) !== this.#apart.has(other.peer.toString())
  }
}

function isBanned (one: Endpoint, other: Endpoint): boolean {
  return one.bans.has(other.peer) || other.bans.has(one.peer)
}

/** A member's place in the network, from when it comes to when it leaves or is killed. */
export class Endpoint implements Answerer, Dialer {
  readonly peer: PeerId
  readonly name: string
  readonly pubsub: MemoryPubSub & PubSub
  readonly bans = new Bans()
  readonly handlers = new Map<string, StreamHandler>()
  alive = true
  readonly #network: Network
  readonly #streams = new Map<MemoryStream, Endpoint>()

  constructor (network: Network, peer: PeerId, name: string) {
    this.#network = network
    this.peer = peer
    this.name = name
    this.pubsub = new MemoryPubSub(network, this) as MemoryPubSub & PubSub
    this.bans.addEventListener('ban', ({ detail }) => {
      network.event(`${name} bans ${this.#nameOf(detail.peer)}: ${detail.reason.replace(/[0-9a-f]{64}/g, 'HASH')}`)
      for (const [stream, other] of this.#streams) if (other.peer.equals(detail.peer)) stream.abort(new Error('banned'))
    })
  }

  readonly connectedPeers = (): PeerId[] => this.#network.neighbours(this).map(({ peer }) => peer)

  reaches (other: Endpoint): boolean {
    return this.alive && other.alive && !isBanned(this, other)
  }

  async handle (protocols: string | string[], handler: StreamHandler): Promise<void> {
    for (const protocol of [protocols].flat()) this.handlers.set(protocol, handler)
    await Promise.resolve()
  }

  async unhandle (protocols: string | string[]): Promise<void> {
    for (const protocol of [protocols].flat()) this.handlers.delete(protocol)
    await Promise.resolve()
  }

  readonly dialProtocol: Dialer['dialProtocol'] = async (peer, protocols, { signal } = {}) => {
    return await this.#network.dial(this, peer as PeerId, [protocols].flat()[0], signal ?? undefined)
  }

  /** A stream ends with either of its ends. */
  opened (stream: MemoryStream, other: Endpoint): void {
    this.#streams.set(stream, other)
    stream.addEventListener('close', () => this.#streams.delete(stream), { once: true })
  }

  /** Nothing goes out from it, and nothing comes to it, from now on. */
  leave (): void {
    this.alive = false
    for (const [, other] of this.#streams) other.lose(this)
  }

  /** Who is at the other end is gone. */
  lose (gone: Endpoint): void {
    for (const [stream, other] of this.#streams) if (other === gone) stream.onRemoteReset()
  }

  #nameOf (peer: PeerId): string {
    return this.#network.neighbours(this).find(other => other.peer.equals(peer))?.name ?? peer.toString()
  }
}

/** Stands where gossipsub is otherwise: a message goes to all that listen, and they pass it on once they have looked at it. */
class MemoryPubSub extends TypedEventEmitter<{ message: CustomEvent<Message> }> {
  readonly topicValidators: GossipSub['topicValidators'] = new Map()
  readonly #network: Network
  readonly #endpoint: Endpoint
  readonly #topics = new Set<string>()
  readonly #seen = new Set<number>()

  constructor (network: Network, endpoint: Endpoint) {
    super()
    this.#network = network
    this.#endpoint = endpoint
  }

  subscribe (topic: string): void { this.#topics.add(topic) }
  unsubscribe (topic: string): void { this.#topics.delete(topic) }

  getSubscribers (topic: string): PeerId[] {
    return this.#listeners(topic).map(({ peer }) => peer)
  }

  async publish (topic: string, data: Uint8Array): Promise<{ recipients: PeerId[] }> {
    const { peer } = this.#endpoint
    const message = { type: 'signed', from: peer, topic, data } as unknown as Message // whether its writer signed it is for gossipsub to see
    const id = this.#network.number()
    const listeners = this.#listeners(topic)
    for (const other of listeners) this.#send(other, id, message)
    return await Promise.resolve({ recipients: listeners.map(({ peer }) => peer) })
  }

  async receive (id: number, message: Message, relay: Endpoint): Promise<void> {
    if (this.#seen.has(id) || !this.#topics.has(message.topic)) return
    this.#seen.add(id)
    const verdict = await this.topicValidators.get(message.topic)?.(relay.peer, message)
    if (verdict !== TopicValidatorResult.Accept) return
    this.safeDispatchEvent('message', { detail: message })
    const others = this.#listeners(message.topic).filter(({ peer }) => message.type === 'signed' && !peer.equals(message.from) && !peer.equals(relay.peer))
    for (const other of this.#network.some(others, PASSED_ON)) this.#send(other, id, message)
  }

  #send (to: Endpoint, id: number, message: Message): void {
    this.#network.send(this.#endpoint, to, () => { to.pubsub.receive(id, message, this.#endpoint).catch(() => {}) })
  }

  #listeners (topic: string): Endpoint[] {
    return this.#network.neighbours(this.#endpoint).filter(({ pubsub }) => pubsub.#topics.has(topic))
  }
}
