import { expect } from 'chai'
import { isMergeable, isMergeableKind, patternAt, rankAt, rescaled, scaleAt } from '../src/auxiliary-spec.js'
import { AUXILIARY_KINDS, type AuxiliarySpec } from '../src/types.js'

const SPEC: AuxiliarySpec = { kind: 'low-rank', rank: 4, alpha: 6 }
const BY_SITE: AuxiliarySpec = { ...SPEC, ranks: { wide: 9, both: 16 }, alphas: { loud: 12, both: 2 } }
const SITES = ['wide', 'loud', 'both', 'other']

describe('what a spec says of a site', () => {
  it('is the same of all sites where it names none', () => {
    for (const site of SITES) expect([rankAt(SPEC, site), scaleAt(SPEC, site)]).to.deep.equal([4, 1.5])
  })

  it('is the rank and alpha that it gives the site, and the others of the rest', () => {
    expect(SITES.map(site => rankAt(BY_SITE, site))).to.deep.equal([9, 4, 16, 4])
    expect(SITES.map(site => scaleAt(BY_SITE, site))).to.deep.equal([6 / 9, 3, 2 / 16, 1.5])
  })

  it('is alpha / √rank where it is rank-stabilised', () => {
    expect(SITES.map(site => scaleAt({ ...BY_SITE, rankStabilised: true }, site))).to.deep.equal([6 / 3, 12 / 2, 2 / 4, 6 / 2])
    expect(SITES.map(site => scaleAt({ ...BY_SITE, rankStabilised: false }, site))).to.deep.equal(SITES.map(site => scaleAt(BY_SITE, site)))
  })

  for (const spec of [SPEC, BY_SITE, { ...BY_SITE, rankStabilised: true }]) {
    it(`is the α of each times what it is rescaled by, and nothing else, ${JSON.stringify(spec)}`, () => {
      const factors: Readonly<Record<string, number>> = { wide: 0.25, both: 3 }
      const scaled = rescaled(spec, Object.keys(factors), site => factors[site])
      for (const site of SITES) {
        expect(scaleAt(scaled, site), site).to.be.closeTo((factors[site] ?? 1) * scaleAt(spec, site), 1e-15)
        expect(rankAt(scaled, site)).to.equal(rankAt(spec, site))
      }
      const { alphas: _, ...rest } = scaled
      const { alphas: __, ...before } = spec
      expect(rest).to.deep.equal(before)
    })
  }

  it('leaves the spec as it is when it is rescaled', () => {
    const frozen = Object.freeze({ ...BY_SITE, alphas: Object.freeze({ loud: 12 }) })
    expect(rescaled(frozen, ['loud'], () => 2).alphas).to.deep.equal({ loud: 24 })
  })

  it('is mergeable where the auxiliary is linear in x', () => {
    expect(AUXILIARY_KINDS.filter(kind => isMergeableKind(kind))).to.deep.equal(['low-rank', 'linear'])
    for (const kind of AUXILIARY_KINDS) expect(isMergeable({ ...SPEC, kind })).to.equal(isMergeableKind(kind))
  })
})

describe('patterns for sites', () => {
  const NAMES = ['transformer.h.0.attn.c_attn', 'transformer.h.1.mlp.c_proj', 'c_attn', 'h.1']

  /** As peft.utils.other.get_pattern_key of PEFT 0.21 chooses among them. */
  const CASES: ReadonlyArray<readonly [patterns: Readonly<Record<string, number>>, values: ReadonlyArray<number | null>]> = [
    [{}, [null, null, null, null]],
    [{ c_attn: 1 }, [1, null, 1, null]],
    [{ 'attn.c_attn': 1, c_attn: 2 }, [1, null, 2, null]],
    [{ c_attn: 2, 'attn.c_attn': 1 }, [2, null, 2, null]],
    [{ 'h\\.[01]\\..*': 4 }, [4, 4, null, null]],
    [{ attn: 3 }, [null, null, null, null]],
    [{ 'h.0': 2 }, [null, null, null, null]],
    [{ c_att: 7 }, [null, null, null, null]],
    [{ 'tn.c_attn': 1 }, [null, null, null, null]],
    [{ 'h.0.attn.c_attn': 5 }, [5, null, null, null]],
    [{ 'transformer.h.0.attn.c_attn': 6 }, [6, null, null, null]],
    [{ '^transformer.h.0.attn.c_attn': 6 }, [6, null, null, null]],
    [{ '^c_attn': 6 }, [null, null, 6, null]],
    [{ 'h.1|c_proj': 8 }, [null, 8, null, 8]],
    [{ 'h.0|h.1.*': 2 }, [null, 2, null, 2]],
    [{ '.*': 9 }, [9, 9, 9, 9]]
  ]

  for (const [patterns, values] of CASES) {
    it(`give what PEFT gives: ${JSON.stringify(patterns)}`, () => {
      expect(NAMES.map(name => patternAt(patterns, name) ?? null)).to.deep.equal(values)
    })
  }

  it('are refused where they are no regular expressions', () => {
    expect(() => patternAt({ '(': 1 }, 'c_attn')).to.throw(SyntaxError)
  })
})
