import type { Weighted } from '../../src/merge/weighted.js'
import type { AuxiliarySpec, Site } from '../../src/types.js'
import { contribution, seeded } from './random.js'

export const SITES: readonly Site[] = [
  { name: 'h.0.attn', inFeatures: 5, outFeatures: 7 },
  { name: 'h.1.mlp', inFeatures: 6, outFeatures: 3 },
  { name: 'h.2.attn', inFeatures: 4, outFeatures: 4 }
]
const [ATTN, MLP, LAST] = SITES.map(({ name }) => name)

/** A member's auxiliaries, and the sites that it has. */
type MemberShape = readonly [spec: AuxiliarySpec, sites: readonly Site[]]

const alike = (spec: AuxiliarySpec): MemberShape => [spec, SITES]
const lowRank = (rank: number, alpha: number, more: Partial<AuxiliarySpec> = {}): AuxiliarySpec => ({ kind: 'low-rank', rank, alpha, ...more })
const LINEAR: AuxiliarySpec = { kind: 'linear', rank: 1, alpha: 2 }
const PERCEPTRON: AuxiliarySpec = { kind: 'mlp', rank: 2, alpha: 3 }

/** Members of a job that have all but the shape of their auxiliaries alike. */
const SHAPES: Readonly<Record<string, readonly MemberShape[]>> = {
  'low-rank of one shape': [lowRank(3, 8), lowRank(3, 8), lowRank(3, 8)].map(alike),
  'low-rank of ranks and alphas of their own': [lowRank(1, 2), lowRank(5, 0.7), lowRank(2, 3)].map(alike),
  'low-rank of ranks and alphas by site': [lowRank(2, 4, { ranks: { [MLP]: 5 }, alphas: { [ATTN]: 0.3, [MLP]: 7 } }), lowRank(3, 1, { ranks: { [ATTN]: 1, [LAST]: 4 } }), lowRank(2, 4)].map(alike),
  'rank-stabilised': [lowRank(4, 6, { rankStabilised: true, ranks: { [MLP]: 9 } }), lowRank(4, 6), lowRank(2, 1, { rankStabilised: true })].map(alike),
  linear: [LINEAR, LINEAR, { ...LINEAR, alphas: { [LAST]: 0.5 } }].map(alike),
  'low-rank and linear': [lowRank(3, 8), LINEAR, lowRank(2, 1, { rankStabilised: true })].map(alike),
  'of some sites': [[lowRank(3, 8), SITES.slice(0, 1)], [lowRank(2, 1), SITES.slice(1)], [lowRank(3, 8), SITES.slice(0, 2)]],
  'low-rank and linear, of some sites': [[lowRank(3, 8), SITES.slice(0, 2)], [LINEAR, SITES.slice(1, 2)], [lowRank(1, 1), SITES.slice(2)]],
  'low-rank, and an MLP that has a share and no ΔW': [[lowRank(3, 8), SITES], [PERCEPTRON, SITES.slice(0, 2)], [lowRank(2, 3), SITES.slice(1)]],
  'linear, and two MLPs': [[PERCEPTRON, SITES], [LINEAR, SITES.slice(1)], [{ ...PERCEPTRON, alphas: { [ATTN]: 5 } }, SITES.slice(0, 1)]]
}

/** Tokens of the three: all different, none of one, and none at all. */
const TOKENS = [[100, 1, 12345], [7, 0, 3], [0, 0, 0]]

/** Members of every shape, with these tokens each. */
export function * mixtures (): Generator<readonly [what: string, members: readonly Weighted[]]> {
  for (const [what, shapes] of Object.entries(SHAPES)) {
    for (const tokens of TOKENS) {
      const random = seeded(tokens[0])
      yield [`${what}, of ${tokens.join(', ')} tokens`, shapes.map(([spec, sites], k) => contribution(tokens[k], spec, sites, random))]
    }
  }
}
