import { expect } from 'chai'
import { isMergeable } from '../../src/auxiliary-spec.js'
import { type Job, specsOf } from '../../src/job.js'
import { meanOfParameters } from '../../src/merge/mean-of-parameters.js'
import type { Weighted } from '../../src/merge/weighted.js'
import { type Applied, appliedTo, BASE_ALONE } from '../../src/node/applied.js'
import { JobMembers } from '../../src/node/job-members.js'
import { MERGES, type AuxiliaryKind, type Merge, type Mode, type Site } from '../../src/types.js'
import { randomAdapter, SITES } from '../gl/adaptation.js'
import { seeded } from '../merge/random.js'
import { meanProductAt, sharesAt } from '../merge/reference.js'
import { soon } from '../protocols/nodes.js'
import { relativeError } from '../support/compare.js'
import { Author, jobOf } from './author.js'

const PURPOSES = ['train', 'evaluate'] as const

/** A member of a job, and what it has contributed. */
interface Contribution {
  readonly kind: AuxiliaryKind
  readonly tokens: number
  readonly sites?: readonly Site[]
}

const lowRank = (tokens: number, sites: readonly Site[] = SITES): Contribution => ({ kind: 'low-rank', tokens, sites })
const mlp = (tokens: number, sites: readonly Site[] = SITES): Contribution => ({ kind: 'mlp', tokens, sites })

/** Whether what can be merged is to be. */
function merges (merge: Merge, purpose: typeof PURPOSES[number]): boolean {
  return merge === 'during' || (merge === 'after' && purpose === 'evaluate')
}

class Members {
  readonly job: Job
  readonly members: JobMembers
  readonly #blobs = new Map<string, Uint8Array>()

  constructor (mode: Mode, merge: Merge) {
    this.job = { ...jobOf(mode), kinds: mode === 'joint' ? ['low-rank'] : ['low-rank', 'linear', 'mlp'], merge, auxiliary: { rank: 2, alpha: 3, ranks: { [SITES[1].name]: 4 } } }
    this.members = new JobMembers({
      job: this.job,
      sites: SITES,
      pull: async ({ manifest: { id } }) => await Promise.resolve(this.#blobs.get(id)!),
      release: () => { /* they stay */ },
      log: error => { throw error as Error }
    })
  }

  /** @returns who it is */
  async add ({ kind, tokens, sites = SITES }: Contribution, author?: Author, round = 1): Promise<Author> {
    const by = author ?? await Author.of(this.job)
    const spec = specsOf(this.job).find(own => own.kind === kind)!
    const signed = await by.signs(randomAdapter(spec, sites, seeded(tokens + round)), { round, tokens })
    this.#blobs.set(signed.record.manifest.id, signed.bytes)
    await this.members.fetch(signed.record, soon())
    return by
  }

  async several (...contributions: Contribution[]): Promise<Author[]> {
    const authors = []
    for (const contribution of contributions) authors.push(await this.add(contribution))
    return authors
  }

  appliedTo ({ peer }: Pick<Author, 'peer'>, purpose: typeof PURPOSES[number] = 'train'): Applied {
    return appliedTo(peer, this.job, this.members, purpose)
  }

  ofPeer ({ peer }: Author): Weighted {
    return this.members.held.find(member => member.peer === peer)!
  }
}

/** α·ΔW that rows meet at a site, merged and beside; what is no ΔW is not in it. */
function metAt ({ merged = [], beside }: Applied, site: Site): number[] {
  const parts = [merged, ...beside.map(({ spec, tensors }) => [{ tokens: 1, spec, adapter: tensors }])].map(members => meanProductAt(members, site))
  return parts.reduce((sum, part) => sum.map((value, i) => value + part[i]))
}

function expectMet (applied: Applied, members: readonly Weighted[]): void {
  for (const site of SITES) {
    const expected = meanProductAt(members, site)
    if (expected.every(value => value === 0)) expect(metAt(applied, site).every(value => value === 0), site.name).to.be.true
    else expect(relativeError(metAt(applied, site), expected), site.name).to.be.below(1e-6)
  }
}

function expectPlaces ({ merged, beside }: Applied, merges: boolean): void {
  expect(merged !== undefined).to.equal(merges)
  if (merges) expect(beside.filter(({ spec }) => isMergeable(spec))).to.deep.equal([])
}

describe('what a trainer\'s rows meet', () => {
  for (const merge of MERGES) {
    for (const purpose of PURPOSES) {
      const what = `merged ${merge}, to ${purpose}`

      it(`is its own auxiliary where each trains alone, ${what}`, async () => {
        const all = new Members('alone', merge)
        const authors = await all.several(lowRank(5), lowRank(0), { kind: 'linear', tokens: 3 })
        for (const author of authors) {
          const applied = all.appliedTo(author, purpose)
          expectMet(applied, [all.ofPeer(author)])
          expectPlaces(applied, merges(merge, purpose))
          expect(applied.version).to.equal(all.members.heardOf(author.peer)!.manifest.id)
          const { spec, adapter } = all.ofPeer(author)
          expect(applied.own).to.deep.equal({ spec, adapter })
        }
      })

      it(`is the mean product in collaboration, ${what}`, async () => {
        for (const contributions of [[lowRank(5)], [lowRank(5), lowRank(2)], [lowRank(0), { kind: 'linear', tokens: 0 }], [lowRank(3, SITES.slice(0, 2)), lowRank(2, SITES.slice(1)), { kind: 'linear', tokens: 9 }]] as const) {
          const all = new Members('collaboration', merge)
          for (const author of await all.several(...contributions)) {
            const applied = all.appliedTo(author, purpose)
            expectMet(applied, all.members.held)
            expectPlaces(applied, merges(merge, purpose))
            expect(applied.version).to.equal(all.members.stateId())
            const { spec, adapter } = all.ofPeer(author)
            expect(applied.own).to.deep.equal({ spec, adapter })
          }
        }
      })

      it(`is what can be merged and beside it what cannot, each with its share, in collaboration, ${what}`, async () => {
        const all = new Members('collaboration', merge)
        const [first, second] = await all.several(lowRank(5), mlp(3, SITES.slice(1)), { kind: 'linear', tokens: 2 })
        const applied = all.appliedTo(first, purpose)
        expectMet(applied, all.members.held)
        expectPlaces(applied, merges(merge, purpose))
        const own = all.members.held.findIndex(({ peer }) => peer === second.peer)
        const [perceptron, ...others] = applied.beside.filter(({ spec }) => !isMergeable(spec))
        expect(others).to.deep.equal([])
        expect(perceptron.tensors).to.deep.equal(all.ofPeer(second).adapter)
        for (const { name } of SITES.slice(1)) {
          expect(perceptron.spec.alphas![name] / 3, name).to.be.closeTo(sharesAt(all.members.held, name)[own], 1e-15)
        }
      })

      it(`is nothing merged where nothing can be, ${what}`, async () => {
        const all = new Members('collaboration', merge)
        const [first] = await all.several(mlp(1), mlp(1))
        const applied = all.appliedTo(first, purpose)
        expectPlaces(applied, false)
        expect(applied.beside.map(({ spec }) => spec.kind)).to.deep.equal(['mlp', 'mlp'])
      })

      it(`is the one that all move in a joint job, which each of them fits, ${what}`, async () => {
        const all = new Members('joint', merge)
        const authors = await all.several(lowRank(5), lowRank(2, SITES.slice(1)), lowRank(3, SITES.slice(0, 2)))
        const mean = { spec: specsOf(all.job)[0], adapter: meanOfParameters(all.members.held) }
        for (const author of [...authors, { peer: 'somebody' }]) {
          const applied = all.appliedTo(author, purpose)
          expectMet(applied, [{ tokens: 1, ...mean }])
          expectPlaces(applied, merges(merge, purpose))
          expect(applied.own).to.deep.equal(mean)
          expect(applied.version).to.equal(all.members.stateId())
        }
      })
    }
  }

  it('is the base model alone where nothing of it is known', async () => {
    for (const mode of ['alone', 'collaboration', 'joint'] as const) expect(new Members(mode, 'during').appliedTo({ peer: 'somebody' })).to.equal(BASE_ALONE)
    const alone = new Members('alone', 'never')
    await alone.add(lowRank(1))
    expect(alone.appliedTo({ peer: 'somebody' })).to.equal(BASE_ALONE)
  })

  it('is everybody\'s in collaboration, though there is nothing of its own', async () => {
    const all = new Members('collaboration', 'during')
    await all.several(lowRank(1), lowRank(2))
    const applied = all.appliedTo({ peer: 'somebody' })
    expectMet(applied, all.members.held)
    expect(applied.own).to.equal(undefined)
  })

  for (const mode of ['collaboration', 'joint'] as const) {
    for (const merge of MERGES) {
      it(`is one and the same for all of a job's trainers, so that it is stacked once, until there is another state: ${mode}, merged ${merge}`, async () => {
        const all = new Members(mode, merge)
        const [first, second] = await all.several(lowRank(5), lowRank(2))
        const [one, other] = [first, second].map(author => all.appliedTo(author))
        expect(one.beside.map(({ tensors }) => tensors)).to.have.ordered.members(other.beside.map(({ tensors }) => tensors))
        await all.add(lowRank(9), second, 2)
        const later = all.appliedTo(first)
        expect(later.version).to.not.equal(one.version)
        expect(metAt(later, SITES[0])).to.not.deep.equal(metAt(one, SITES[0]))
      })
    }
  }
})
