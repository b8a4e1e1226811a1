import { expect } from 'chai'
import { parameterShapes } from '../../../../src/gl/auxiliary.js'
import type { AuxiliaryPlan } from '../../../../src/gl/learner-plan.js'
import { sharesOf } from '../../../../src/node/trainer/fits/shares.js'
import type { AuxiliarySpec, Site } from '../../../../src/types.js'
import { seeded } from '../../../merge/random.js'

function plans (sites: readonly Site[], spec: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 1 }): AuxiliaryPlan[] {
  return sites.map(site => ({ site, spec, start: { seed: 0 } }))
}

function alike (count: number): Site[] {
  return Array.from({ length: count }, (_, i) => ({ name: `h.${i}`, inFeatures: 3, outFeatures: 5 }))
}

function names (shares: ReturnType<typeof sharesOf>): string[][] {
  return shares.map(share => share.map(({ site }) => site.name))
}

describe('fits: shares of threads', () => {
  it('alternate where all auxiliaries are alike', () => {
    expect(names(sharesOf(plans(alike(5)), 2))).to.deep.equal([['h.0', 'h.2', 'h.4'], ['h.1', 'h.3']])
  })

  it('are as many as auxiliaries where there are more threads', () => {
    expect(names(sharesOf(plans(alike(2)), 7))).to.deep.equal([['h.0'], ['h.1']])
  })

  it('count what a module has, and how often it stands in a row', () => {
    const often: Site = { name: 'often', inFeatures: 3, outFeatures: 5, places: 100 }
    const [large, ...others] = [{ name: 'large', inFeatures: 30, outFeatures: 50 }, ...alike(6)]
    expect(names(sharesOf(plans([...others, large]), 2))).to.deep.equal([['large'], others.map(({ name }) => name)])
    expect(names(sharesOf(plans([...others, often]), 2))).to.deep.equal([['often'], others.map(({ name }) => name)])
    const ranks: AuxiliarySpec = { kind: 'low-rank', rank: 1, alpha: 1, ranks: { 'h.3': 64 } }
    expect(names(sharesOf(plans(alike(4), ranks), 2))).to.deep.equal([['h.3'], ['h.0', 'h.1', 'h.2']])
  })

  it('have each auxiliary once, in their order, and differ by no more than one of them', () => {
    const random = seeded(1)
    for (const [count, threads] of [[1, 1], [5, 3], [20, 4], [31, 7]]) {
      const all = plans(Array.from({ length: count }, (_, i) => ({ name: `h.${i}`, inFeatures: 1 + Math.floor(random() * 40), outFeatures: 1 + Math.floor(random() * 40) })))
      const shares = sharesOf(all, threads)
      expect(shares).to.have.lengthOf(threads)
      for (const share of shares) {
        const places = share.map(plan => all.indexOf(plan))
        expect(places).to.not.be.empty
        expect(places).to.deep.equal(places.toSorted((a, b) => a - b))
      }
      expect(shares.flat()).to.have.members(all)
      const costs = shares.map(share => share.reduce((sum, plan) => sum + costOf(plan), 0))
      expect(Math.max(...costs) - Math.min(...costs)).to.be.at.most(Math.max(...all.map(costOf)))
    }
  })
})

function costOf ({ site, spec }: AuxiliaryPlan): number {
  return [...parameterShapes(spec, site).values()].reduce((sum, [out, columns]) => sum + out * columns, 0)
}
