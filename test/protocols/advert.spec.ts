import { randomBytes } from 'node:crypto'
import type { PeerId } from '@libp2p/interface'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import type { Mesh } from '../../src/node/mesh.js'
import { type Advert, advert, ADVERT_PROTOCOL, type AdvertComponents, type Adverts, type Offer } from '../../src/protocols/advert/index.js'
import { ADVERT_TOPIC, MAX_LEASE } from '../../src/protocols/advert/constants.js'
import { encodeMessage } from '../../src/protocols/message.js'
import type { PubSub } from '../../src/protocols/topic/index.js'
import { Traffic } from '../../src/protocols/traffic.js'
import { manifestOf } from '../../src/tensor/chunks.js'
import { Gossipers, listening, scoreOf } from './gossipers.js'
import { answerWith, connect, Nodes, soon } from './nodes.js'
import { OFFER as LENT } from './offer.js'
import { failureOf } from '../support/failure.js'

const MODEL = 'a'.repeat(64)
const OTHER_MODEL = 'b'.repeat(64)
const OFFER: Offer = { ...LENT, model: MODEL, name: 'tiny', files: { 'tokenizer.json': manifestOf(randomBytes(10)) } }

/** Gossip that nobody hears and that says nothing. */
const SILENCE: PubSub = {
  topicValidators: new Map(),
  addEventListener: () => { /* nothing comes */ },
  removeEventListener: () => { /* nothing came */ },
  subscribe: () => { /* to nothing */ },
  unsubscribe: () => { /* from nothing */ },
  getSubscribers: () => [],
  publish: async () => await Promise.resolve({ recipients: [] })
}

describe('advert', () => {
  const nodes = new Nodes()
  const gossipers = new Gossipers()
  const started: Adverts[] = []
  afterEach(async () => {
    await Promise.all(started.splice(0).map(async adverts => { await adverts.stop() }))
    await Promise.all([nodes.stop(), gossipers.stop()])
  })

  async function advertsOf (components: AdvertComponents, pubsub: PubSub, { lease = 30_000, counter = new Traffic() } = {}): Promise<Adverts> {
    const adverts = advert({ pubsub, lease, counter })(components)
    await adverts.start()
    started.push(adverts)
    return adverts
  }

  async function adverts (node: Mesh, init: { readonly lease?: number, readonly counter?: Traffic } = {}): Promise<Adverts> {
    return await advertsOf(node, node.services.pubsub, init)
  }

  async function hostOf (offer = OFFER, neighbours: readonly Mesh[] = []): Promise<Mesh> {
    const host = await nodes.add()
    for (const neighbour of neighbours) await connect(host, neighbour)
    const offering = await adverts(host)
    offering.offer(() => offer)
    return host
  }

  async function first (adverts: Adverts, wanted: Parameters<Adverts['find']>[0] = MODEL, signal = soon()): Promise<Advert> {
    const { value } = await adverts.find(wanted, { signal }).next()
    return value
  }

  describe('is found', () => {
    it('by a peer that connects after the offer', async () => {
      const host = await hostOf()
      expect((await first(await adverts(await nodes.add()))).peer).to.equal(host.peerId.toString())
    })

    it('by a peer that connected before the offer', async () => {
      const offering = await adverts(await nodes.add())
      const trainer = await nodes.add()
      const found = first(await adverts(trainer))
      offering.offer(() => OFFER)
      expect((await found).peer).to.equal(nodes.all[0].peerId.toString())
    })

    it('by a peer that listened for adverts before it connected', async () => {
      const trainer = await nodes.add()
      const found = first(await adverts(trainer))
      const host = await hostOf()
      expect((await found).peer).to.equal(host.peerId.toString())
    })

    it('as it is, by the id of its model or by a test', async () => {
      const host = await hostOf()
      const heard = await adverts(await nodes.add())
      for (const wanted of [MODEL, ({ name }: Advert) => name === 'tiny']) {
        const { peer, expires, ...offer } = await first(heard, wanted)
        expect(peer).to.equal(host.peerId.toString())
        expect(expires).to.be.above(Date.now())
        expect(encodeMessage(offer)).to.deep.equal(encodeMessage(OFFER))
      }
    })

    it('through a third peer, which passes on what it hears', async () => {
      const third = await gossipers.add()
      const [host, trainer] = [await gossipers.add([third]), await gossipers.add([third])]
      const [offering, , heard] = await Promise.all([host, third, trainer].map(async node => await advertsOf(node, node.services.pubsub, { lease: 1500 })))
      offering.offer(() => OFFER)
      expect((await first(heard)).peer).to.equal(host.peerId.toString())
      expect(trainer.getPeers().map(String)).to.deep.equal([third.peerId.toString()])
    })

    it('through the DHT, by a peer that hears no gossip and asks nobody whom it meets', async () => {
      await nodes.add() // knows both, and has no adverts
      const host = await nodes.add()
      const provided = Promise.withResolvers<undefined>()
      const contentRouting = Object.assign(nowhere(host), {
        provide: async (...asked: Parameters<Mesh['contentRouting']['provide']>) => {
          await host.contentRouting.provide(...asked)
          provided.resolve(undefined)
        }
      })
      const offering = await advertsOf({ ...asking(host), contentRouting }, SILENCE)
      offering.offer(() => OFFER)
      await provided.promise
      const trainer = await nodes.add()
      const alone = { ...asking(trainer), register: async () => await Promise.resolve(''), getPeers: () => [] }
      expect((await first(await advertsOf(alone, SILENCE))).peer).to.equal(host.peerId.toString())
    })

    it('with what the host measures by then', async () => {
      const host = await nodes.add()
      let tokensPerSecond = 1
      const offering = await adverts(host)
      offering.offer(() => ({ ...OFFER, tokensPerSecond: tokensPerSecond++ }))
      const earlier = await first(await adverts(await nodes.add()))
      const later = await first(await adverts(await nodes.add()))
      expect(later.tokensPerSecond).to.be.above(earlier.tokensPerSecond)
    })

    it('under its later offer, which takes the place of the earlier', async () => {
      const host = await nodes.add()
      const offering = await adverts(host)
      offering.offer(() => OFFER)
      offering.offer(() => ({ ...OFFER, model: OTHER_MODEL }))
      const heard = await adverts(await nodes.add())
      await first(heard, OTHER_MODEL)
      expect(heard.live().map(({ model }) => model)).to.deep.equal([OTHER_MODEL])
    })
  })

  describe('of several hosts', () => {
    it('gives each once', async () => {
      const trainer = await nodes.add()
      const heard = await adverts(trainer, { lease: 300 })
      const hosts: Mesh[] = []
      for (let i = 0; i < 3; i++) {
        const host = await nodes.add()
        hosts.push(host)
        const offering = await adverts(host, { lease: 1500 }) // renewed twice a second
        offering.offer(() => OFFER)
      }
      const found: string[] = []
      const given = new AbortController()
      const renewals = new Map<string, number>()
      const failure = failureOf((async () => {
        for await (const { peer } of heard.find(MODEL, { signal: given.signal })) found.push(peer)
      })())
      trainer.services.pubsub.addEventListener('message', ({ detail }) => {
        const from = 'from' in detail ? detail.from.toString() : ''
        renewals.set(from, (renewals.get(from) ?? 0) + 1)
        if (hosts.every(({ peerId }) => (renewals.get(peerId.toString()) ?? 0) >= 2)) given.abort(new Error('enough'))
      })
      expect((await failure).message).to.equal('enough')
      expect(found.sort()).to.deep.equal(hosts.map(({ peerId }) => peerId.toString()).sort())
    })

    it('gives those that match', async () => {
      const trainer = await nodes.add()
      const heard = await adverts(trainer)
      await hostOf({ ...OFFER, model: OTHER_MODEL, name: 'other' })
      const wanted = await hostOf({ ...OFFER, name: 'wanted' })
      while (heard.live().length < 2) await pEvent(trainer.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
      for (const sought of [MODEL, ({ name }: Advert) => name.startsWith('w')]) expect((await first(heard, sought)).peer).to.equal(wanted.peerId.toString())
      expect((await first(heard, OTHER_MODEL)).name).to.equal('other')
    })
  })

  it('goes on looking until its signal ends, whose reason it throws', async () => {
    const heard = await adverts(await nodes.add())
    const given = new AbortController()
    const failure = failureOf(first(heard, MODEL, given.signal))
    given.abort(new Error('enough'))
    expect((await failure).message).to.equal('enough')
    expect((await failureOf(first(heard, () => true, given.signal))).message).to.equal('enough')
  })

  it('can be looked for again after it was found', async () => {
    const host = await hostOf()
    const heard = await adverts(await nodes.add())
    for (let i = 0; i < 2; i++) {
      const search = heard.find(MODEL, { signal: soon() })
      expect((await search.next()).value.peer).to.equal(host.peerId.toString())
      await search.return(undefined as never)
    }
  })

  it('lives as long as its host renews it, and no longer than its lease', async () => {
    const trainer = await nodes.add()
    const heard = await adverts(trainer)
    const offering = await adverts(await nodes.add(), { lease: 1200 })
    offering.offer(() => OFFER)
    const { expires } = await first(heard)
    await pEvent(trainer.services.pubsub, 'message', { filter: () => Date.now() > expires, signal: soon() }) // it has been renewed
    expect(heard.live()).to.have.length(1)
    await offering.stop()
    while (heard.live().length > 0) await pEvent(trainer.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    const given = new AbortController()
    const failure = failureOf(first(heard, MODEL, given.signal))
    await pEvent(trainer.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    given.abort(new Error('nobody is there'))
    expect((await failure).message).to.equal('nobody is there')
  })

  it('is refused when it is more than can be gossiped, or is none; the earlier offer stands', async () => {
    const offering = await adverts(await nodes.add())
    offering.offer(() => OFFER)
    const sites = Array.from({ length: 1000 }, (_, i) => ({ name: `${i}`.padEnd(100, '.'), inFeatures: 1, outFeatures: 1 }))
    for (const wrong of [{ ...OFFER, sites }, { ...OFFER, sites: [] }, { ...OFFER, tokensPerSecond: NaN }, { ...OFFER, files: { '../config.json': manifestOf(randomBytes(1)) } }]) {
      expect(() => offering.offer(() => wrong)).to.throw().with.property('name', 'ProtocolError')
    }
    expect(await first(await adverts(await nodes.add()))).to.have.property('name', OFFER.name)
  })

  it('counts its bytes at both ends', async () => {
    const [sent, received] = [new Traffic(), new Traffic()]
    const offering = await adverts(await nodes.add(), { counter: sent })
    offering.offer(() => OFFER)
    await first(await adverts(await nodes.add(), { counter: received }))
    expect(Object.keys(sent.report())).to.deep.equal(['advert'])
    expect(received.report().advert.received).to.be.above(encodeMessage(OFFER).byteLength)
  })

  describe('of a host that lies, is not taken', () => {
    type Lie = (liar: PeerId, other: PeerId) => object
    const lies: Record<string, Lie> = {
      'in the name of another': (_, other) => claim(other),
      'in a second name of its own': liar => ({ ...claim(liar), peer: liar.toCID().toString() }),
      'for longer than a lease may be': liar => claim(liar, { expires: Date.now() + 2 * MAX_LEASE }),
      'after its lease': liar => claim(liar, { expires: Date.now() - 1 }),
      'until never': liar => claim(liar, { expires: Infinity }),
      'with a key too many': liar => ({ ...claim(liar), surprise: true }),
      'for a model that is no id': liar => claim(liar, { model: 'tiny' }),
      'with a file outside the folder': liar => claim(liar, { files: { '../.bashrc': manifestOf(randomBytes(1)) } }),
      'with a manifest that contradicts itself': liar => claim(liar, { files: { 'config.json': { ...manifestOf(randomBytes(4)), size: 5 } } }),
      'with a speed that is not a number': liar => claim(liar, { tokensPerSecond: NaN })
    }
    for (const [how, lie] of Object.entries(lies)) {
      it(`${how}, told when asked or by gossip`, async () => {
        const trainer = await nodes.add()
        const [liar, other] = [await nodes.add(), await nodes.add()]
        await answerWith(liar, ADVERT_PROTOCOL, () => [{ advert: lie(liar.peerId, other.peerId) }])
        const heard = await adverts(trainer)
        await listening(liar.services.pubsub, ADVERT_TOPIC, trainer.peerId)
        await liar.services.pubsub.publish(ADVERT_TOPIC, encodeMessage(lie(liar.peerId, other.peerId)))
        const honest = await hostOf()
        await first(heard, () => true)
        await pEvent(trainer.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
        expect(heard.live().map(({ peer }) => peer)).to.deep.equal([honest.peerId.toString()])
      })
    }

    const answers: Record<string, object> = {
      'an answer that is none': { surprise: true },
      'an answer without an advert': { advert: null },
      'a list': [],
      'more than is gossiped': { advert: null, noise: new Uint8Array(70_000) }
    }
    for (const [what, answer] of Object.entries(answers)) {
      it(`and does no harm with ${what}`, async () => {
        const liar = await nodes.add()
        const asked = Promise.withResolvers<undefined>()
        await answerWith(liar, ADVERT_PROTOCOL, () => {
          asked.resolve(undefined)
          return [answer]
        })
        const heard = await adverts(await nodes.add())
        await asked.promise
        const honest = await hostOf(OFFER, [nodes.all[1]])
        expect((await first(heard)).peer).to.equal(honest.peerId.toString())
        expect(heard.live()).to.have.length(1)
      })
    }
  })

  it('that comes late does not count against who passed it on', async () => {
    const [trainer, late] = [await nodes.add(), await nodes.add()]
    await adverts(trainer)
    await listening(late.services.pubsub, ADVERT_TOPIC, trainer.peerId)
    for (let i = 1; i <= 5; i++) await late.services.pubsub.publish(ADVERT_TOPIC, encodeMessage(claim(late.peerId, { expires: Date.now() - i })))
    for (let i = 0; i < 2; i++) await pEvent(trainer.services.pubsub, 'gossipsub:heartbeat', { signal: soon() })
    expect(scoreOf(trainer.services.pubsub, late.peerId)).to.be.at.least(0)
  })

  it('is not heard of any more once stopped, and its host offers nothing', async () => {
    const host = await nodes.add()
    const offering = await adverts(host)
    offering.offer(() => OFFER)
    await offering.stop()
    const trainer = await nodes.add()
    const failure = await failureOf(trainer.dialProtocol(host.peerId, ADVERT_PROTOCOL, { signal: soon() }))
    expect(failure.name).to.equal('UnsupportedProtocolError')
    expect(host.services.pubsub.getTopics()).to.deep.equal([])
  })
})

function claim (peer: PeerId, fields: Partial<Advert> = {}): Advert {
  return { ...OFFER, peer: peer.toString(), expires: Date.now() + 20_000, ...fields }
}

/** What adverts need of a node, to be replaced in part. */
function asking (node: Mesh): AdvertComponents {
  return {
    peerId: node.peerId,
    logger: node.logger,
    contentRouting: node.contentRouting,
    handle: async (...args) => { await node.handle(...args) },
    unhandle: async (...args) => { await node.unhandle(...args) },
    dialProtocol: async (...args) => await node.dialProtocol(...args),
    register: async (...args) => await node.register(...args),
    unregister: id => node.unregister(id),
    getPeers: () => node.getPeers()
  }
}

/** A DHT that knows nobody. */
function nowhere (node: Mesh): Mesh['contentRouting'] {
  return Object.assign(Object.create(node.contentRouting) as Mesh['contentRouting'], {
    provide: async () => { await Promise.resolve() },
    findProviders: async function * () { /* nobody */ }
  })
}
