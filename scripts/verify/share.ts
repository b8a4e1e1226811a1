import type { AdapterTensors, AuxiliarySpec } from '../../src/types.js'

/** A member's auxiliaries, and how much of them the outputs of their sites get. */
export interface Share {
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
  /** 1 for all of it. */
  readonly shareAt: (site: string) => number
}

/** Of each member, in order: its share of the tokens of all who have a site, by which the paper's mean weighs them. */
export function sharesOf (members: ReadonlyArray<Pick<Share, 'spec' | 'adapter'> & { readonly tokens: number }>): Share[] {
  const tokensAt = (site: string): number => members.filter(({ adapter }) => adapter.has(site)).reduce((sum, { tokens }) => sum + tokens, 0)
  return members.map(({ spec, adapter, tokens }) => ({ spec, adapter, shareAt: site => tokens / tokensAt(site) }))
}

/** An auxiliary that the outputs of its sites get whole. */
export function whole ({ spec, adapter }: Pick<Share, 'spec' | 'adapter'>): Share {
  return { spec, adapter, shareAt: () => 1 }
}
