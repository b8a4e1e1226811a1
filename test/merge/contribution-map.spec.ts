import { expect } from 'chai'
import { ContributionMap, type Versioned } from '../../src/merge/contribution-map.js'
import { seeded, shuffled } from './random.js'

function mapOf (records: readonly Versioned[]): ContributionMap<Versioned> {
  const map = new ContributionMap<Versioned>()
  for (const record of records) map.add(record)
  return map
}

describe('merge: the map of contributions', () => {
  it('ends in one state whatever the order and however often records arrive', () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = seeded(seed)
      const upTo = (n: number): number => Math.floor(random() * n)
      // few different values, so that rounds, ids and tokens tie
      const records = Array.from({ length: 40 }, () => ({ peer: `peer-${upTo(5)}`, round: upTo(3), tokens: upTo(3), id: `${upTo(3)}` }))
      const reference = mapOf(records)
      for (let i = 0; i < 10; i++) {
        const other = mapOf(shuffled([...records, ...records.slice(upTo(40))], random))
        expect([...other]).to.deep.equal([...reference])
        expect(other.stateId()).to.equal(reference.stateId())
      }
    }
  })

  it('merges two maps to the same state from either side', () => {
    const ours = [{ peer: 'a', round: 2, tokens: 5, id: '1' }, { peer: 'b', round: 1, tokens: 5, id: '1' }]
    const theirs = [{ peer: 'a', round: 1, tokens: 9, id: '2' }, { peer: 'c', round: 1, tokens: 5, id: '1' }]
    const merged = mapOf([...mapOf(ours), ...mapOf(theirs)])
    expect(mapOf([...mapOf(theirs), ...mapOf(ours)]).stateId()).to.equal(merged.stateId())
    expect(mapOf([...merged, ...merged]).stateId()).to.equal(merged.stateId())
  })

  it('lets the highest round stand, then the greater id, then more tokens', () => {
    const map = new ContributionMap<Versioned>()
    const first = { peer: 'a', round: 1, tokens: 10, id: '77' }
    expect(map.add(first)).to.be.true
    expect(map.add({ ...first })).to.be.false
    expect(map.add({ ...first, id: '66', tokens: 99 })).to.be.false
    expect(map.add({ ...first, tokens: 9 })).to.be.false
    expect(map.add({ ...first, tokens: 11 })).to.be.true
    expect(map.add({ ...first, id: '88' })).to.be.true
    expect(map.add({ ...first, round: 0, id: '99' })).to.be.false
    expect(map.add({ peer: 'a', round: 2, tokens: 0, id: '00' })).to.be.true
    expect([...map]).to.deep.equal([{ peer: 'a', round: 2, tokens: 0, id: '00' }])
  })

  it('gives contributions in the order of code units, not of a language', () => {
    const peers = ['b', 'a', 'é', 'Z', 'a1', '\u{1f600}', '\uffee']
    const records = peers.map(peer => ({ peer, round: 1, tokens: 1, id: '' }))
    expect([...mapOf(records)].map(({ peer }) => peer)).to.deep.equal(['Z', 'a', 'a1', 'b', 'é', '\u{1f600}', '\uffee'])
  })

  it('names a state by all that decides it', () => {
    const record = { peer: 'a', round: 1, tokens: 1, id: 'x' }
    const states = [[], [record], [{ ...record, peer: 'b' }], [{ ...record, round: 2 }], [{ ...record, tokens: 2 }], [{ ...record, id: 'y' }], [record, { ...record, peer: 'b' }]]
    const ids = states.map(records => mapOf(records).stateId())
    expect(new Set(ids).size).to.equal(states.length)
    for (const id of ids) expect(id).to.match(/^[0-9a-f]{64}$/)
  })

  it('keeps the record itself', () => {
    const record = { peer: 'a', round: 1, tokens: 1, id: 'x', note: 'ours' }
    const map = new ContributionMap<typeof record>()
    map.add(record)
    expect([...map][0]).to.equal(record)
  })
})
