import type { AuxiliaryKind, AuxiliarySpec } from './types.js'

/** Kinds whose g is linear in x, so that α·g is a ΔW that can be added to the weight of its module by whoever has both. */
const MERGEABLE_KINDS = ['low-rank', 'linear'] as const satisfies readonly AuxiliaryKind[]
type MergeableKind = typeof MERGEABLE_KINDS[number]
/** An auxiliary that is a ΔW. */
export type MergeableSpec = AuxiliarySpec & { readonly kind: MergeableKind }

export function isMergeable (spec: AuxiliarySpec): spec is MergeableSpec {
  return isMergeableKind(spec.kind)
}

export function isMergeableKind (kind: AuxiliaryKind): kind is MergeableKind {
  return (MERGEABLE_KINDS as readonly AuxiliaryKind[]).includes(kind)
}

/** Kinds with factors A and B of a rank. */
export function isRanked (kind: AuxiliaryKind): boolean {
  return kind === 'low-rank' || kind === 'dora'
}

/** What a module gives without what is beside it: `output` is f(x), `product` the same without its bias. */
export type ModuleResult = 'output' | 'product'

const SEEN: Readonly<Partial<Record<AuxiliaryKind, ModuleResult>>> = { ia3: 'output', dora: 'product' }

/** What a kind of auxiliaries is a function of beside x, and so is fitted from beside (x, ∇ĥ); undefined where that is nothing. */
export function seenBy (kind: AuxiliaryKind): ModuleResult | undefined {
  return SEEN[kind]
}

/** Whether auxiliaries of one of these kinds start from the norms of the rows of W, and divide by those of W + αBA. */
export function needNorms (kinds: readonly AuxiliaryKind[]): boolean {
  return kinds.includes('dora')
}

/** Rank r of one site's auxiliary. */
export function rankAt ({ rank, ranks }: AuxiliarySpec, site: string): number {
  return ranks?.[site] ?? rank
}

/** α of the equations for one site: alpha / r, or with rank-stabilised scaling alpha / √r (arXiv 2312.03732, theorem 3.2). */
export function scaleAt (spec: AuxiliarySpec, site: string): number {
  const { alpha, alphas, rankStabilised = false } = spec
  const rank = rankAt(spec, site)
  return (alphas?.[site] ?? alpha) / (rankStabilised ? Math.sqrt(rank) : rank)
}

/** What g of a site is multiplied by: α, or where g has its α within, as DoRA's has, the share of it that counts. */
export function outerScaleAt (spec: AuxiliarySpec, site: string): number {
  return spec.kind === 'dora' ? spec.shares?.[site] ?? 1 : scaleAt(spec, site)
}

/** The same auxiliaries with what each of the sites gives times a factor. */
export function rescaled (spec: AuxiliarySpec, sites: Iterable<string>, factorAt: (site: string) => number): AuxiliarySpec {
  const { shares, alpha, alphas } = spec
  if (spec.kind === 'dora') return { ...spec, shares: { ...shares, ...Object.fromEntries([...sites].map(site => [site, outerScaleAt(spec, site) * factorAt(site)])) } }
  return { ...spec, alphas: { ...alphas, ...Object.fromEntries([...sites].map(site => [site, (alphas?.[site] ?? alpha) * factorAt(site)])) } }
}

/**
 * What PEFT's `rank_pattern` and `alpha_pattern` give a site: the value of the first pattern, a regular expression, that its full
 * name matches, whole or from after a dot on.
 *
 * @throws {SyntaxError} if a pattern is no regular expression
 */
export function patternAt (patterns: Readonly<Record<string, number>>, site: string): number | undefined {
  return Object.entries(patterns).find(([pattern]) => new RegExp(`^(.*\\.)?(${pattern})$`).test(site))?.[1]
}
