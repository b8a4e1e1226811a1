import { setImmediate as turn } from 'node:timers/promises'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { peerIdFromPrivateKey } from '@libp2p/peer-id'
import { expect } from 'chai'
import { pEvent } from 'p-event'
import { BlobUnavailableError } from '../../src/errors.js'
import { encodeAdapter } from '../../src/gl/adapter-message.js'
import type { Job } from '../../src/job.js'
import { holdersOf, JobMembers } from '../../src/node/job-members.js'
import type { ContributionRecord } from '../../src/protocols/contribution/index.js'
import { encodeSafetensors } from '../../src/tensor/safetensors.js'
import type { AuxiliarySpec, Mode } from '../../src/types.js'
import { randomAdapter, SITES } from '../gl/adaptation.js'
import { seeded, shuffled } from '../merge/random.js'
import { soon } from '../protocols/nodes.js'
import { adapterOf, Author, jobOf, type Signed, SPEC } from './author.js'
import { failureOf } from '../support/failure.js'

/** A node's share in a job. Blobs come when the test says so, from wherever they are. */
class Here {
  readonly members: JobMembers
  readonly blobs = new Map<string, Uint8Array>()
  /** Rounds whose blobs were asked for. */
  readonly pulled: number[] = []
  readonly released: string[] = []
  readonly logged: Error[] = []
  changes = 0
  readonly #held = new Map<string, Promise<void>>()

  constructor (mode: Mode, signed: readonly Signed[] = [], job: Partial<Job> = {}) {
    this.members = new JobMembers({
      job: { ...jobOf(mode), ...job },
      sites: SITES,
      pull: this.#pull,
      release: blob => this.released.push(blob),
      log: error => this.logged.push(error as Error)
    })
    this.members.addEventListener('change', () => this.changes++)
    for (const each of signed) this.have(each)
  }

  have ({ record, bytes }: Signed): void {
    this.blobs.set(record.manifest.id, bytes)
  }

  /** Has a blob wait on its way until the function that is returned is called. */
  delay ({ record }: Signed): () => void {
    let release: (() => void) | undefined
    this.#held.set(record.manifest.id, new Promise(resolve => { release = resolve }))
    return () => release?.()
  }

  async fetch (...signed: Signed[]): Promise<void> {
    for (const { record } of signed) await this.members.fetch(record, soon())
  }

  offer (...signed: Signed[]): void {
    for (const { record } of signed) this.members.offer(record)
  }

  /** Waits for what goes on in the background. */
  async until (condition: () => boolean): Promise<void> {
    const signal = soon()
    while (!condition()) {
      signal.throwIfAborted()
      await turn()
    }
  }

  get rounds (): number[] { return this.members.held.map(({ round }) => round) }

  readonly #pull = async ({ round, manifest: { id } }: ContributionRecord): Promise<Uint8Array> => {
    this.pulled.push(round)
    await this.#held.get(id)
    const bytes = this.blobs.get(id)
    if (bytes === undefined) throw new BlobUnavailableError(`nobody has ${id}`)
    return bytes
  }
}

/** The first rounds of a trainer, each with an auxiliary of its own. */
async function roundsOf (author: Author, count: number): Promise<Signed[]> {
  return await Promise.all(Array.from({ length: count }, async (_, i) => await author.signs(adapterOf(i), { round: i + 1, tokens: 100 * (i + 1) })))
}

const idsOf = (signed: readonly Signed[]): string[] => signed.map(({ record }) => record.manifest.id)

describe('the members of a job', () => {
  let author: Author
  let rounds: Signed[]

  before(async () => {
    author = await Author.of(jobOf('collaboration'))
    rounds = await roundsOf(author, 6)
  })

  it('are none at first', () => {
    const { members } = new Here('collaboration')
    expect(members.held).to.deep.equal([])
    expect(members.heard).to.deep.equal([])
    expect(members.heardOf(author.peer)).to.equal(undefined)
    expect(members.newsAt(author.peer)).to.equal(0)
  })

  it('are heard of at once, and count when their auxiliaries are here', async () => {
    const [first] = rounds
    const here = new Here('collaboration', rounds)
    const empty = here.members.stateId()
    const arrive = here.delay(first)
    here.offer(first)
    expect(here.members.heard).to.deep.equal([first.record])
    expect(here.members.heardOf(author.peer)).to.equal(first.record)
    expect(here.members.newsAt(author.peer)).to.be.above(0)
    expect(here.members.held).to.deep.equal([])
    expect(here.members.holdsLatestOf(author.peer)).to.equal(false)
    expect(here.members.stateId()).to.equal(empty)

    const change = pEvent(here.members, 'change', { signal: soon() })
    arrive()
    await change
    expect(here.members.holdsLatestOf(author.peer)).to.equal(true)
    expect(here.members.stateId()).to.not.equal(empty)
    const [{ peer, round, tokens, record, adapter }] = here.members.held
    expect({ peer, round, tokens, record }).to.deep.equal({ peer: author.peer, round: 1, tokens: 100, record: first.record })
    expect(adapter).to.deep.equal(adapterOf(0))
  })

  it('change when one is heard of, and when one counts, but not when nothing is new', async () => {
    const here = new Here('collaboration', rounds)
    await here.fetch(rounds[1])
    expect(here.changes).to.equal(2)
    await here.fetch(rounds[1], rounds[0])
    here.offer(rounds[1], rounds[0])
    expect(here.changes).to.equal(2)
    await here.fetch(rounds[2])
    expect(here.changes).to.equal(4)
  })

  it('have news only when something is new', async () => {
    const here = new Here('collaboration', rounds)
    here.offer(rounds[1])
    const at = here.members.newsAt(author.peer)
    await here.until(() => Date.now() > at)
    here.offer(rounds[1], rounds[0])
    expect(here.members.newsAt(author.peer)).to.equal(at)
    here.offer(rounds[2])
    expect(here.members.newsAt(author.peer)).to.be.above(at)
  })

  it('are only heard of where each trains alone, until one is asked for', async () => {
    const here = new Here('alone', rounds)
    here.offer(rounds[0])
    expect(here.members.heard).to.have.length(1)
    await here.fetch(rounds[1])
    expect(here.pulled).to.deep.equal([2])
    expect(here.rounds).to.deep.equal([2])
  })

  it('are pulled once, however often one is told of them', async () => {
    const here = new Here('collaboration', rounds)
    here.offer(rounds[0], rounds[0])
    await here.until(() => here.members.holdsLatestOf(author.peer))
    here.offer(rounds[0])
    await here.fetch(rounds[0])
    await here.members.contributedBy(rounds[0].record, soon())
    expect(here.pulled).to.deep.equal([1])
  })

  it('skip the rounds that are told of while an earlier one is under way', async () => {
    const here = new Here('collaboration', rounds)
    const arrive = here.delay(rounds[0])
    here.offer(...rounds)
    arrive()
    await here.until(() => here.members.holdsLatestOf(author.peer))
    expect(here.pulled).to.deep.equal([1, 6])
    expect(here.rounds).to.deep.equal([6])
  })

  it('go on with a later round where the blob of an earlier one is gone', async () => {
    const [first, second] = rounds
    const here = new Here('collaboration', [second])
    const arrive = here.delay(first)
    here.offer(first, second)
    arrive()
    await here.until(() => here.rounds.length === 1)
    expect(here.rounds).to.deep.equal([2])
    expect(here.pulled).to.deep.equal([1, 2])
  })

  it('count with the latest round that somebody gives, where nobody gives a later one, and with that one as soon as somebody does', async () => {
    const [first, second, third, fourth] = rounds
    const here = new Here('collaboration', [first, second, third])
    here.offer(fourth)
    await here.until(() => here.logged.length === 1)
    expect(here.rounds).to.deep.equal([])
    expect(here.members.hasUseFor(second.record)).to.equal(true)
    here.offer(second, first)
    await here.until(() => here.rounds.length === 1)
    expect(here.rounds).to.deep.equal([2])
    expect(here.members.hasUseFor(first.record), 'what counts already is later').to.equal(false)
    here.offer(third)
    await here.until(() => here.rounds[0] === 3)
    expect(here.members.heard).to.deep.equal([fourth.record])
    expect(here.members.holdsLatestOf(author.peer)).to.equal(false)
    here.have(fourth)
    here.members.fetchMissing()
    await here.until(() => here.members.holdsLatestOf(author.peer))
    expect(here.rounds).to.deep.equal([4])
  })

  it('end in one state where each holds another round of one that told of a later one and was killed', async () => {
    const all = rounds.slice(0, 3).map(own => new Here('collaboration', [own]))
    for (const [i, here] of all.entries()) {
      await here.fetch(rounds[i])
      here.offer(rounds[5])
    }
    for (const here of all) {
      for (const other of all) {
        for (const [i, own] of rounds.slice(0, 3).entries()) {
          if (other.rounds[0] !== i + 1) continue
          here.have(own)
          here.offer(own)
        }
      }
    }
    for (const here of all) await here.until(() => here.rounds[0] === 3)
    expect(new Set(all.map(({ members }) => members.stateId())).size).to.equal(1)
  })

  it('count with a round that somebody gives, however many others they were told of that nobody gives', async () => {
    const many = await roundsOf(author, 12)
    const here = new Here('collaboration', [many[0]])
    here.offer(...many.slice(1))
    here.offer(many[0])
    await here.until(() => here.rounds.length === 1)
    expect(here.rounds).to.deep.equal([1])
    here.have(many[11])
    here.members.fetchMissing()
    await here.until(() => here.members.holdsLatestOf(author.peer))
  })

  it('are tried again when they are missing', async () => {
    const [first] = rounds
    const here = new Here('collaboration')
    here.offer(first)
    await here.until(() => here.logged.length === 1)
    here.have(first)
    here.members.fetchMissing()
    await here.until(() => here.rounds.length === 1)
    here.members.fetchMissing()
    expect(here.pulled).to.deep.equal([1, 1])
  })

  it('are not held up by one whose blob does not come', async () => {
    const here = new Here('collaboration', rounds)
    here.delay(rounds[0])
    here.offer(rounds[0])
    const other = await (await Author.of(jobOf('collaboration'))).signs(adapterOf(9), { round: 1 })
    here.have(other)
    here.offer(other)
    await here.until(() => here.members.held.length === 1)
    expect(here.members.held[0].record).to.equal(other.record)
  })

  it('count with some of the sites, in which they need not be alike', async () => {
    const here = new Here('collaboration')
    const shares = [SITES.slice(0, 1), SITES.slice(1), SITES]
    for (const [k, one] of (await Author.several(shares.length, jobOf('collaboration'))).entries()) {
      const adapter = randomAdapter(SPEC, shares[k], seeded(k))
      const signed = await one.signs(adapter, { round: 1 })
      here.have(signed)
      await here.fetch(signed)
      expect(here.members.held.find(({ peer }) => peer === one.peer)).to.deep.include({ spec: SPEC, adapter })
    }
    expect(here.members.held).to.have.lengthOf(shares.length)
  })

  it('of a mixture count as what they are', async () => {
    const kinds = ['mlp', 'low-rank', 'linear'] as const
    const here = new Here('collaboration', [], { kinds })
    for (const [k, kind] of kinds.entries()) {
      const spec: AuxiliarySpec = { ...SPEC, kind }
      const adapter = randomAdapter(spec, SITES.slice(k), seeded(k))
      const signed = await author.signs(adapter, { round: k + 1 })
      here.have(signed)
      await here.fetch(signed)
      expect(here.members.held).to.have.lengthOf(1)
      expect(here.members.held[0]).to.deep.include({ spec, adapter })
    }
  })

  describe('never count with', () => {
    const values = new Map([...adapterOf(1)].flatMap(([site, own]) => [...own].map(([name, tensor]) => [`${site}.${name}`, tensor] as const)))
    const [[name, tensor]] = values
    const encoded = encodeAdapter(adapterOf(1))
    const damages: Record<string, [name: string, bytes: Uint8Array]> = {
      'no bytes': ['InvalidTensorError', new Uint8Array()],
      'what is not safetensors': ['InvalidTensorError', Buffer.from('surprise, surprise')],
      'a blob that is cut short': ['InvalidTensorError', encoded.subarray(0, -1)],
      'an auxiliary of another rank': ['InvalidAdapterError', encodeAdapter(randomAdapter({ ...SPEC, rank: 3 }, SITES, seeded(1)))],
      'an auxiliary of another kind': ['InvalidAdapterError', encodeAdapter(randomAdapter({ ...SPEC, kind: 'linear' }, SITES, seeded(1)))],
      'a parameter too few': ['InvalidAdapterError', encodeSafetensors(new Map([...values].slice(1)))],
      'no site': ['InvalidAdapterError', encodeAdapter(new Map())],
      'a site that the job has not, and no other': ['InvalidAdapterError', encodeAdapter(randomAdapter(SPEC, [{ ...SITES[0], name: 'other' }], seeded(1)))],
      'a site too many': ['InvalidAdapterError', encodeAdapter(randomAdapter(SPEC, [...SITES, { ...SITES[0], name: 'other' }], seeded(1)))],
      'sites of other sizes': ['InvalidAdapterError', encodeAdapter(randomAdapter(SPEC, SITES.map(site => ({ ...site, inFeatures: 7 })), seeded(1)))],
      'a value that is not a number': ['InvalidAdapterError', encodeSafetensors(new Map([...values, [name, { ...tensor, values: tensor.values.with(3, NaN) }]]))],
      'a value that is infinite': ['InvalidAdapterError', encodeSafetensors(new Map([...values, [name, { ...tensor, values: tensor.values.with(0, -Infinity) }]]))]
    }
    for (const [what, [error, bytes]] of Object.entries(damages)) {
      it(what, async () => {
        const here = new Here('collaboration', rounds)
        await here.fetch(rounds[0])
        const state = here.members.stateId()
        const damaged = await author.signsBytes(bytes, { round: 2 })
        here.have(damaged)
        expect((await failureOf(here.members.fetch(damaged.record, soon()))).name).to.equal(error)
        expect((await failureOf(here.members.contributedBy(damaged.record, soon()))).name).to.equal(error)
        here.offer(damaged)
        await here.until(() => here.logged.length === 1)
        expect(here.logged[0].name).to.equal(error)
        expect(here.members.heardOf(author.peer)).to.equal(damaged.record)
        expect(here.members.holdsLatestOf(author.peer)).to.equal(false)
        expect(here.members.stateId()).to.equal(state)

        here.offer(rounds[2])
        await here.until(() => here.members.holdsLatestOf(author.peer))
        expect(here.rounds).to.deep.equal([3])
      })
    }

    it('a blob that nobody gives, until somebody does', async () => {
      const here = new Here('collaboration')
      here.offer(rounds[0])
      await here.until(() => here.logged.length === 1)
      expect(here.logged[0].name).to.equal('BlobUnavailableError')
      expect((await failureOf(here.members.fetch(rounds[0].record, soon()))).name).to.equal('BlobUnavailableError')
      expect(here.members.held).to.deep.equal([])
      here.have(rounds[0])
      here.offer(rounds[0])
      await here.until(() => here.members.holdsLatestOf(author.peer))
    })
  })

  describe('keep a newer round', () => {
    it('when an older one is told of, which is not even pulled', async () => {
      const here = new Here('collaboration', rounds)
      await here.fetch(rounds[2], rounds[1])
      here.offer(rounds[0])
      expect(here.pulled).to.deep.equal([3])
      expect(here.rounds).to.deep.equal([3])
      expect(here.members.heard).to.deep.equal([rounds[2].record])
      expect(here.members.holdsLatestOf(author.peer)).to.equal(true)
    })

    for (const mode of ['alone', 'collaboration', 'joint'] as const) {
      it(`when an older one comes after it, which was under way for longer, ${mode}`, async () => {
        const here = new Here(mode, rounds)
        const arrive = here.delay(rounds[0])
        const late = here.fetch(rounds[0])
        await here.fetch(rounds[1])
        const changes = here.changes
        arrive()
        await late
        expect(here.rounds).to.deep.equal([2])
        expect(here.changes).to.equal(changes)
      })
    }
  })

  describe('release the blobs', () => {
    it('of rounds that are superseded', async () => {
      const here = new Here('collaboration', rounds)
      await here.fetch(...rounds.slice(0, 3))
      expect(here.released).to.deep.equal(idsOf(rounds.slice(0, 2)))
    })

    it('that another member holds as well only when that one goes on too', async () => {
      const twin = await Author.of(jobOf('collaboration'))
      const [start, next] = [await twin.signs(adapterOf(0), { round: 1 }), await twin.signs(adapterOf(8), { round: 2 })]
      const here = new Here('collaboration', [...rounds, next])
      expect(start.record.manifest.id).to.equal(rounds[0].record.manifest.id)
      await here.fetch(rounds[0], start, rounds[1])
      expect(here.released).to.deep.equal([])
      expect(here.members.held.find(({ peer }) => peer === twin.peer)?.adapter).to.deep.equal(adapterOf(0))
      await here.fetch(next)
      expect(here.released).to.deep.equal(idsOf([start]))
    })

    it('of none while a trainer publishes the same again', async () => {
      const again = await author.signs(adapterOf(0), { round: 2 })
      const here = new Here('collaboration', [rounds[0], again])
      await here.fetch(rounds[0], again)
      expect(here.released).to.deep.equal([])
      expect(here.rounds).to.deep.equal([2])
    })

    it('of rounds before the last that are kept, of the trainer of which they are kept', async () => {
      const other = await roundsOf(await Author.of(jobOf('alone')), 3)
      const here = new Here('alone', [...rounds, ...other])
      here.members.keep(author.peer, 3)
      await here.fetch(...rounds.slice(0, 3))
      expect(here.released).to.deep.equal([])
      await here.fetch(...rounds.slice(3), ...other)
      expect(here.released).to.have.members(idsOf([...rounds.slice(0, 3), ...other.slice(0, 2)]))
    })

    it('of rounds before the last four where members move one auxiliary', async () => {
      const here = new Here('joint', rounds)
      await here.fetch(...rounds.slice(0, 4))
      expect(here.released).to.deep.equal([])
      await here.fetch(...rounds.slice(4))
      expect(here.released).to.deep.equal(idsOf(rounds.slice(0, 2)))
    })

    it('but never of the round that counts, when an older one comes after it', async () => {
      const here = new Here('collaboration', rounds)
      const arrive = here.delay(rounds[0])
      const late = here.fetch(rounds[0])
      await here.fetch(rounds[1])
      arrive()
      await late
      expect(here.released).to.not.include(rounds[1].record.manifest.id)
    })

    it('but never of the one that counts of two with the same round', async () => {
      const both = await Promise.all([0, 1].map(async seed => await author.signs(adapterOf(seed), { round: 1 })))
      const [less, greater] = both[0].record.manifest.id < both[1].record.manifest.id ? both : [...both].reverse()
      const here = new Here('collaboration', both)
      await here.fetch(greater, less)
      expect(here.members.held[0].id).to.equal(greater.record.manifest.id)
      expect(here.released).to.not.include(greater.record.manifest.id)
    })
  })

  describe('that move one auxiliary keep the last four rounds of each', () => {
    it('and pull none of them again', async () => {
      const here = new Here('joint', rounds)
      await here.fetch(...rounds)
      for (const [i, { record }] of rounds.entries()) {
        if (i >= 2) expect(await here.members.contributedBy(record, soon())).to.deep.equal({ spec: SPEC, adapter: adapterOf(i) })
      }
      expect(here.pulled).to.deep.equal([1, 2, 3, 4, 5, 6])
      expect(here.rounds).to.deep.equal([6])
    })

    it('whatever the others do', async () => {
      const busy = await Author.of(jobOf('joint'))
      const many = await Promise.all(Array.from({ length: 8 }, async (_, i) => await busy.signs(adapterOf(20 + i), { round: i + 1 })))
      const here = new Here('joint', [...rounds, ...many])
      await here.fetch(...rounds.slice(0, 4), ...many)
      const pulled = here.pulled.length
      for (const { record } of [...rounds.slice(0, 4), ...many.slice(4)]) await here.members.contributedBy(record, soon())
      expect(here.pulled).to.have.length(pulled)
    })

    it('and pull an older one anew, which does not count', async () => {
      const here = new Here('joint', rounds)
      await here.fetch(...rounds)
      const state = here.members.stateId()
      expect(await here.members.contributedBy(rounds[0].record, soon())).to.deep.equal({ spec: SPEC, adapter: adapterOf(0) })
      expect(here.pulled.at(-1)).to.equal(1)
      expect(here.members.stateId()).to.equal(state)
    })
  })

  for (const mode of ['collaboration', 'joint'] as const) {
    it(`end in one state whatever the order in which they are heard of, ${mode}`, async () => {
      const authors = await Author.several(4, jobOf(mode))
      // few different values, so that rounds and auxiliaries tie
      const signed = await Promise.all(Array.from({ length: 24 }, async (_, i) =>
        await authors[i % 4].signs(adapterOf(i % 5), { round: 1 + i % 3, tokens: 100 + i % 2 })))
      const reference = new Here(mode, signed)
      await reference.fetch(...signed)
      expect(reference.members.held).to.have.length(4)
      for (let seed = 0; seed < 10; seed++) {
        const random = seeded(seed)
        const here = new Here(mode, signed)
        for (const each of shuffled([...signed, ...signed.slice(12)], random)) {
          if (random() < 0.5) here.offer(each)
          else await here.fetch(each)
        }
        await here.until(() => authors.every(({ peer }) => here.members.holdsLatestOf(peer)))
        expect(here.members.stateId()).to.equal(reference.members.stateId())
        expect(here.members.held).to.deep.equal(reference.members.held)
      }
    })
  }
})

describe('the holders of a contribution', () => {
  it('are its author, connected or not, and then all others once', async () => {
    const [author, ...others] = (await Promise.all(Array.from({ length: 3 }, async () => await generateKeyPair('Ed25519')))).map(peerIdFromPrivateKey)
    const names = (connected: typeof others): string[] => [...holdersOf(author, connected)].map(String)
    expect(names(others)).to.deep.equal([author, ...others].map(String))
    expect(names([others[0], author, others[1]])).to.deep.equal([author, ...others].map(String))
    expect(names([])).to.deep.equal([author.toString()])
  })
})
