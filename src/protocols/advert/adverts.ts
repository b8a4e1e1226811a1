import type { Libp2p, Logger, PeerId, Startable } from '@libp2p/interface'
import { pEvent } from 'p-event'
import { ProtocolError } from '../../errors.js'
import { Deadline } from '../deadline.js'
import { type Answerer, answerer, converse, type Dialer, type Frames } from '../frames.js'
import { decodeMessage, encodeMessage } from '../message.js'
import { pauseAfter } from '../pauses.js'
import { enter, entered } from '../rendezvous.js'
import { MAX_ANNOUNCEMENT_BYTES, type PubSub, Topic, type Verdict } from '../topic/index.js'
import type { ConductListener } from '../bans.js'
import type { PeerLimits } from '../peer-limits.js'
import type { ByteCounter } from '../traffic.js'
import { ADVERT_PROTOCOL, ADVERT_TOPIC, FIRST_RENEWAL, LEASE, MAX_ANSWER_BYTES, MAX_HOSTS, MAX_INBOUND_STREAMS, MAX_LEASE, MAX_REQUEST_BYTES, PROVIDE_INTERVAL, SEARCH_PAUSES, TIMEOUT } from './constants.js'
import { type Advert, advertSchema, answerSchema, type Offer } from './schema.js'

export type AdvertComponents = Answerer & Dialer & Pick<Libp2p, 'peerId' | 'register' | 'unregister' | 'contentRouting' | 'getPeers' | 'logger'>

export interface AdvertInit {
  readonly pubsub: PubSub
  readonly counter?: ByteCounter
  readonly breaches?: ConductListener
  readonly limits?: PeerLimits
  /** How long a lease lasts, in milliseconds. It is renewed about three times as often, and more often at first. @default 30_000 */
  readonly lease?: number
}

export class HeardAdverts implements Startable {
  readonly #components: AdvertComponents
  readonly #lease: number
  readonly #limits: PeerLimits | undefined
  readonly #log: Logger
  readonly #exchange: { readonly timeout: number, readonly kind: string, readonly counter: ByteCounter | undefined, readonly breaches: ConductListener | undefined }
  readonly #topic: Topic<Advert>
  /** The latest of each host, in the order in which they were heard. */
  readonly #heard = new Map<string, Advert>()
  readonly #news = new EventTarget()
  readonly #stopped = new AbortController()
  #current: (() => Offer) | undefined
  #renewal: NodeJS.Timeout | undefined
  #provided: { readonly model: string, readonly at: number } | undefined
  #registration: string | undefined

  constructor (components: AdvertComponents, { pubsub, counter, breaches, limits, lease = LEASE }: AdvertInit) {
    this.#components = components
    this.#lease = lease
    this.#limits = limits
    this.#log = components.logger.forComponent('colanet:advert')
    this.#exchange = { timeout: TIMEOUT, kind: 'advert', counter, breaches }
    this.#topic = new Topic(pubsub, {
      name: ADVERT_TOPIC,
      schema: advertSchema,
      judge: (advert, from) => this.#judge(advert, from),
      onMessage: advert => this.#hear(advert),
      kind: () => 'advert',
      counter,
      breaches
    })
  }

  async start (): Promise<void> {
    this.#topic.start()
    const handler = answerer({ ...this.#exchange, maxBytes: MAX_REQUEST_BYTES, maxStreams: MAX_INBOUND_STREAMS, limits: this.#limits }, this.#onStream)
    await this.#components.handle(ADVERT_PROTOCOL, handler, { maxInboundStreams: MAX_INBOUND_STREAMS })
    this.#registration = await this.#components.register(ADVERT_PROTOCOL, { onConnect: peer => this.#inBackground(this.#ask(peer)) })
    for (const peer of this.#components.getPeers()) this.#inBackground(this.#ask(peer))
  }

  async stop (): Promise<void> {
    clearTimeout(this.#renewal)
    this.#stopped.abort()
    this.#topic.stop()
    if (this.#registration !== undefined) this.#components.unregister(this.#registration)
    await this.#components.unhandle(ADVERT_PROTOCOL)
  }

  offer (current: () => Offer): void {
    const bytes = encodeMessage(this.#lend(current()))
    if (bytes.byteLength > MAX_ANNOUNCEMENT_BYTES) throw new ProtocolError(`an advert of ${bytes.byteLength} bytes; at most ${MAX_ANNOUNCEMENT_BYTES} are gossiped`)
    decodeMessage(advertSchema, bytes)
    this.#current = current
    clearTimeout(this.#renewal)
    this.#keepRenewing(current)
  }

  live (): Advert[] {
    for (const [peer, advert] of this.#heard) {
      if (!isLive(advert)) this.#heard.delete(peer)
    }
    return [...this.#heard.values()]
  }

  async * find (wanted: string | ((advert: Advert) => boolean), { signal }: { readonly signal: AbortSignal }): AsyncGenerator<Advert, never> {
    const matches = typeof wanted === 'string' ? ({ model }: Advert): boolean => model === wanted : wanted
    const given = new Set<string>()
    const search = new AbortController()
    if (typeof wanted === 'string') this.#inBackground(this.#askProviders(wanted, AbortSignal.any([search.signal, this.#stopped.signal])))
    try {
      for (;;) {
        signal.throwIfAborted()
        const fresh = this.live().find(advert => !given.has(advert.peer) && matches(advert))
        if (fresh === undefined) {
          await pEvent(this.#news, 'advert', { signal })
        } else {
          given.add(fresh.peer)
          yield fresh
        }
      }
    } finally {
      search.abort()
    }
  }

  /** A host is heard of in several ways: where one fails, the others go on. */
  #inBackground (work: Promise<void>): void {
    work.catch((error: unknown) => this.#log('%s', error))
  }

  /** Soon at first: when a host starts, those who pass it on and those who keep the DHT may not be connected yet. */
  #keepRenewing (current: () => Offer, times = 1): void {
    this.#inBackground(this.#renew(current))
    const pause = pauseAfter(times, { first: FIRST_RENEWAL, longest: this.#lease / 3 })
    this.#renewal = setTimeout(() => this.#keepRenewing(current, times + 1), pause)
  }

  async #renew (current: () => Offer): Promise<void> {
    const advert = this.#lend(current())
    await this.#topic.publish(advert)
    await this.#provide(advert.model)
  }

  /** Enters this host in the DHT. */
  async #provide (model: string): Promise<void> {
    if (this.#provided?.model === model && Date.now() - this.#provided.at < PROVIDE_INTERVAL) return
    const deadline = new Deadline(this.#lease / 3, 'the DHT', this.#stopped.signal)
    try {
      if (await enter(this.#components, model, deadline.signal)) this.#provided = { model, at: Date.now() }
    } finally {
      deadline.clear()
    }
  }

  async #askProviders (model: string, signal: AbortSignal): Promise<void> {
    for await (const peer of entered(this.#components, model, { pauses: SEARCH_PAUSES, log: this.#log }, signal)) this.#inBackground(this.#ask(peer))
  }

  /** Hears from a peer itself what it offers. */
  async #ask (peer: PeerId): Promise<void> {
    const init = { ...this.#exchange, maxBytes: MAX_ANSWER_BYTES, signal: this.#stopped.signal }
    const { advert } = await converse(this.#components, peer, ADVERT_PROTOCOL, init, async frames => {
      await frames.write(encodeMessage({}))
      return decodeMessage(answerSchema, await frames.read())
    })
    if (advert === null) return
    const verdict = this.#judge(advert, peer)
    if (verdict === 'accept') this.#hear(advert)
    else if (verdict !== 'ignore') this.#exchange.breaches?.breach(peer, verdict.reject)
  }

  readonly #onStream = async (frames: Frames): Promise<void> => {
    await frames.read()
    const advert = this.#current === undefined ? null : this.#lend(this.#current())
    await frames.write(encodeMessage({ advert }))
  }

  #lend (offer: Offer): Advert {
    return { ...offer, peer: this.#components.peerId.toString(), expires: Date.now() + this.#lease }
  }

  #judge (advert: Advert, from: PeerId): Verdict {
    if (advert.peer !== from.toString()) return { reject: 'an advert in the name of another peer' }
    return isLive(advert) && advert.expires <= Date.now() + MAX_LEASE ? 'accept' : 'ignore' // gossip may be late, and clocks differ
  }

  #hear (advert: Advert): void {
    this.#heard.delete(advert.peer)
    this.#heard.set(advert.peer, advert)
    if (this.#heard.size > MAX_HOSTS) this.#heard.delete(this.#heard.keys().next().value ?? '')
    this.#news.dispatchEvent(new Event('advert'))
  }
}

function isLive ({ expires }: Advert): boolean {
  return expires > Date.now()
}
