import * as tf from '@tensorflow/tfjs'
import { generateKeyPair } from '@libp2p/crypto/keys'
import { expect } from 'chai'
import { startBackend } from '../../../src/engine/backend.js'
import { Auxiliary } from '../../../src/gl/auxiliary.js'
import { GradientLearner } from '../../../src/gl/gradient-learner.js'
import { Optimizer } from '../../../src/gl/optimizer.js'
import { ContributionMap } from '../../../src/merge/contribution-map.js'
import { meanOfParameters } from '../../../src/merge/mean-of-parameters.js'
import { memberOf } from '../../../src/node/job-members.js'
import { type JoinedJob, Jobs } from '../../../src/node/jobs.js'
import { type Standing, standingIn } from '../../../src/node/trainer/standing.js'
import { BlobStore } from '../../../src/protocols/blob/index.js'
import { type ContributionRecord, signRecord } from '../../../src/protocols/contribution/index.js'
import type { StepReply } from '../../../src/protocols/step/index.js'
import type { AdapterTensors, Mode } from '../../../src/types.js'
import { randomData, SITES } from '../../gl/adaptation.js'
import { seeded } from '../../merge/random.js'
import { soon } from '../../protocols/nodes.js'
import { relativeError } from '../../support/compare.js'
import { adapterOf, Author, jobOf, SPEC } from '../author.js'
import { failureOf } from '../../support/failure.js'

/** A trainer of a job whose members share one store of blobs, so that whatever one contributes is at hand for all. */
interface Trainer {
  readonly joined: JoinedJob
  readonly learner: GradientLearner
  readonly standing: Standing
}

class Trainers {
  readonly #store = new BlobStore()
  readonly #all: Trainer[] = []

  async add (mode: Mode, adapter = adapterOf(0)): Promise<Trainer> {
    const jobs = new Jobs({ identity: await generateKeyPair('Ed25519'), store: this.#store, log: error => { throw error as Error } })
    const learner = new GradientLearner({
      auxiliaries: SITES.map(site => new Auxiliary(SPEC, site, { tensors: adapter.get(site.name)! })),
      optimizer: new Optimizer('adamw', 0.01),
      schedule: () => 0.05,
      interval: 1
    })
    const joined = jobs.join(jobOf(mode), SITES)
    const trainer = { joined, learner, standing: await standingIn(joined, learner) }
    this.#all.push(trainer)
    return trainer
  }

  async several (count: number, mode: Mode): Promise<Trainer[]> {
    return await Promise.all(Array.from({ length: count }, async () => await this.add(mode)))
  }

  stop (): void {
    for (const { learner } of this.#all.splice(0)) learner.dispose()
  }
}

/** One step's fit on data that the seed decides. */
async function fit ({ learner }: Trainer, seed: number): Promise<void> {
  for (const [site, data] of randomData(SITES, 4, seeded(seed))) learner.gather(site, data)
  learner.endBatch()
  await learner.fit()
}

async function contribute ({ joined, standing }: Trainer, tokens: number): Promise<ContributionRecord> {
  return await joined.contribute(await standing.own(), { tokens, final: false })
}

/** What a host that holds these records says after a step. */
function replyOf (members: readonly ContributionRecord[]): StepReply {
  const state = new ContributionMap()
  for (const record of members) state.add(memberOf(record, { spec: SPEC, adapter: new Map() }))
  return { loss: 1, tokens: 10, version: state.stateId(), members: [...members], timings: { queued: 0, pass: 1 }, shared: 1 }
}

function flat (adapter: AdapterTensors): number[] {
  return [...adapter].sort(([a], [b]) => a < b ? -1 : 1).flatMap(([, own]) => [...own.values()].flatMap(({ values }) => [...values]))
}

const difference = (a: readonly number[], b: readonly number[]): number[] => a.map((value, i) => value - b[i])

/** Σ share·values, in doubles. */
function weighted (all: ReadonlyArray<readonly number[]>, shares: readonly number[]): number[] {
  return all[0].map((_, i) => all.reduce((sum, values, k) => sum + shares[k] * values[i], 0))
}

describe('how a trainer stands to its job', () => {
  const trainers = new Trainers()
  before(async () => { await startBackend() })
  afterEach(() => trainers.stop())

  for (const mode of ['alone', 'collaboration'] as const) {
    describe(mode, () => {
      it('it contributes what its learner has, at the start and after a fit', async () => {
        const trainer = await trainers.add(mode)
        expect(await trainer.standing.own()).to.deep.equal(adapterOf(0))
        await fit(trainer, 1)
        const own = await trainer.standing.own()
        expect(own).to.deep.equal(await trainer.learner.adapter())
        expect(flat(own)).to.not.deep.equal(flat(adapterOf(0)))
      })

      it('it hears of the members of which the host tells, and learns on as before', async () => {
        const [trainer, other] = await trainers.several(2, mode)
        await fit(other, 2)
        const record = await contribute(other, 10)
        await trainer.standing.meet(replyOf([record]), soon())
        expect(trainer.joined.members.heard).to.deep.equal([record])
        expect(await trainer.learner.adapter()).to.deep.equal(adapterOf(0))
      })
    })
  }

  describe('joint', () => {
    it('it contributes the common start before its first fit', async () => {
      expect(await (await trainers.add('joint')).standing.own()).to.deep.equal(adapterOf(0))
    })

    it('it learns from where it is as long as nobody has contributed', async () => {
      const trainer = await trainers.add('joint')
      await trainer.standing.meet({ ...replyOf([]), version: null }, soon())
      await fit(trainer, 1)
      expect(await trainer.standing.own()).to.deep.equal(await trainer.learner.adapter())
    })

    it('it learns from the mean of the members that the host ran, weighted by tokens', async () => {
      const [trainer, ...others] = await trainers.several(3, 'joint')
      for (const [i, other] of others.entries()) await fit(other, i)
      const adapters = await Promise.all(others.map(async ({ learner }) => flat(await learner.adapter())))
      const records = [await contribute(others[0], 30), await contribute(others[1], 10)]
      await trainer.standing.meet(replyOf(records), soon())
      const expected = weighted(adapters, [0.75, 0.25])
      expect(relativeError(flat(await trainer.learner.adapter()), expected)).to.be.below(1e-7)
      expect(await trainer.standing.own(), 'it has moved nothing itself').to.deep.equal(adapterOf(0))
    })

    it('it has moved nothing between two contributions without a fit', async () => {
      const trainer = await trainers.add('joint')
      await fit(trainer, 1)
      const own = await trainer.standing.own()
      expect(flat(own)).to.not.deep.equal(flat(adapterOf(0)))
      expect(await trainer.standing.own()).to.deep.equal(own)
    })

    for (const tokens of [[1, 1], [3, 1], [5, 2, 1], [0, 0, 0, 0]]) {
      it(`the mean of members moves by the mean of their moves, tokens in the proportion ${tokens.join(' : ')}`, async () => {
        const all = await trainers.several(tokens.length, 'joint')
        const total = tokens.reduce((sum, n) => sum + n, 0)
        const shares = tokens.map(n => total === 0 ? 1 / tokens.length : n / total)
        let records = await Promise.all(all.map(async (trainer, k) => await contribute(trainer, tokens[k])))
        for (let round = 1; round <= 5; round++) {
          const means: number[][] = []
          const moves: number[][] = []
          for (const [k, trainer] of all.entries()) {
            await trainer.standing.meet(replyOf(records), soon())
            const met = flat(await trainer.learner.adapter())
            await fit(trainer, 10 * round + k)
            means.push(met)
            moves.push(difference(flat(await trainer.learner.adapter()), met))
          }
          for (const mean of means) expect(mean, 'all start from one state').to.deep.equal(means[0])
          records = await Promise.all(all.map(async (trainer, k) => await contribute(trainer, (round + 1) * tokens[k])))
          const held = await Promise.all(records.map(async (record, k) => memberOf(record, await all[k].joined.members.contributedBy(record, soon()))))
          const moved = difference(flat(meanOfParameters(held)), means[0])
          expect(relativeError(moved, weighted(moves, shares)), `round ${round}`).to.be.below(1e-4)
        }
      })
    }

    it('it takes its gradients at the state that the host ran, though the others have gone on since', async () => {
      const [trainer, other] = await trainers.several(2, 'joint')
      const then: ContributionRecord[] = []
      for (let seed = 0; seed < 3; seed++) {
        await fit(other, seed)
        then.push(await contribute(other, 10))
      }
      await trainer.standing.meet(replyOf([then[2]]), soon())
      const latest = await trainer.learner.adapter()
      await trainer.standing.meet(replyOf([then[0]]), soon())
      expect(flat(await trainer.learner.adapter())).to.not.deep.equal(flat(latest))
      expect(trainer.joined.members.heard).to.deep.equal([then[2]])
      await trainer.standing.meet(replyOf([then[2]]), soon())
      expect(await trainer.learner.adapter()).to.deep.equal(latest)
    })

    it('it leaves no tensor behind', async () => {
      const [trainer, other] = await trainers.several(2, 'joint')
      await fit(trainer, 0)
      await trainer.standing.own()
      const record = await contribute(other, 10)
      const before = tf.memory().numTensors
      await trainer.standing.meet(replyOf([record]), soon())
      await trainer.standing.own()
      expect(tf.memory().numTensors).to.equal(before)
    })

    it('a host is refused that lists other members than those whose state it names', async () => {
      const [trainer, ...others] = await trainers.several(3, 'joint')
      const records = await Promise.all(others.map(async other => await contribute(other, 10)))
      const { version } = replyOf(records)
      for (const members of [[], records.slice(1), [...records, await contribute(trainer, 10)]]) {
        const failure = await failureOf(trainer.standing.meet({ ...replyOf(members), version }, soon()))
        expect(failure.name).to.equal('ProtocolError')
      }
      expect(await trainer.learner.adapter(), 'as it was').to.deep.equal(adapterOf(0))
    })

    it('a host is refused that lists what nobody can give', async () => {
      const trainer = await trainers.add('joint')
      const { record } = await (await Author.of(jobOf('joint'))).signs(adapterOf(1), { round: 1 })
      const logged: unknown[] = []
      const jobs = new Jobs({ identity: await generateKeyPair('Ed25519'), store: new BlobStore(), log: error => logged.push(error) })
      const standing = await standingIn(jobs.join(jobOf('joint'), SITES), trainer.learner)
      expect((await failureOf(standing.meet(replyOf([record]), soon()))).name).to.equal('BlobUnavailableError')
    })
  })

  for (const mode of ['alone', 'collaboration', 'joint'] as const) {
    describe(`refuses a host, ${mode}, that tells of`, () => {
      const forgeries: Record<string, (record: ContributionRecord) => ContributionRecord | Promise<ContributionRecord>> = {
        'a record that somebody else signed': async record => {
          const thief = await generateKeyPair('Ed25519')
          return { ...await signRecord(thief, record), peer: record.peer }
        },
        'a record with more tokens than were signed': record => ({ ...record, tokens: record.tokens + 1 }),
        'a record of a later round than was signed': record => ({ ...record, round: record.round + 1 }),
        'a record without its signature': record => ({ ...record, signature: new Uint8Array(64) })
      }
      for (const [what, forge] of Object.entries(forgeries)) {
        it(what, async () => {
          const [trainer, other] = await trainers.several(2, mode)
          const forged = await forge(await contribute(other, 10))
          expect((await failureOf(trainer.standing.meet(replyOf([forged]), soon()))).name).to.equal('ProtocolError')
          expect(trainer.joined.members.heard).to.deep.equal([])
          expect(await trainer.learner.adapter()).to.deep.equal(adapterOf(0))
        })
      }

      it('a record of another job, though its peer signed it', async () => {
        const trainer = await trainers.add(mode)
        const { record } = await (await Author.of({ ...jobOf(mode), name: 'gardening' })).signs(adapterOf(1), { round: 1 })
        expect((await failureOf(trainer.standing.meet(replyOf([record]), soon()))).name).to.equal('ProtocolError')
        expect(trainer.joined.members.heard).to.deep.equal([])
      })
    })
  }

  it('refuses a host, joint, that tells of a forged record of a round that is over', async () => {
    const [trainer, other] = await trainers.several(2, 'joint')
    const first = await contribute(other, 10)
    await fit(other, 1)
    const second = await contribute(other, 20)
    await trainer.standing.meet(replyOf([second]), soon())
    const before = await trainer.learner.adapter()
    for (const forged of [{ ...first, tokens: 10 ** 9 }, { ...second, manifest: first.manifest }]) {
      expect((await failureOf(trainer.standing.meet(replyOf([forged]), soon()))).name).to.equal('ProtocolError')
      expect(await trainer.learner.adapter()).to.deep.equal(before)
    }
  })
})
