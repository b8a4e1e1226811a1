import { InvalidModelError } from '../errors.js'
import type { Network } from './network.js'

/** What a `config.json` of ours calls the ranks of modules whose matrices are stored as two factors, by full module name. */
export const RANKS_KEY = 'colanet_ranks'

/** By transformers' naming of weights: U `[out, r]` and V `[r, in]`, whose product is the module's matrix `[out, in]`. */
export function factorNames (site: string): { readonly u: string, readonly v: string } {
  return { u: `${site}.weight_u`, v: `${site}.weight_v` }
}

/** Names of all weights that a module's matrix is stored as. */
export function matrixNames (network: Pick<Network, 'ranks' | 'siteWeight'>, site: string): string[] {
  const { u, v } = factorNames(site)
  return network.ranks?.has(site) === true ? [u, v] : [network.siteWeight(site).name]
}

/**
 * The network with some matrices stored as the product U·V of two factors, which is how it computes with them too: the module
 * gives U·(V·x). It is the network that was given, changed.
 *
 * @param ranks r by full module name
 * @throws {InvalidModelError} if a module is none of the network's, or embeds, or shares its weight with another
 */
export function factored<N extends Network> (network: N, ranks: Readonly<Record<string, number>>): N {
  for (const site of Object.keys(ranks)) checkProduct(network, site)
  const shapes = new Map(network.info.sites.filter(({ name }) => Object.hasOwn(ranks, name)).map(({ name, inFeatures, outFeatures }) => {
    const { u, v } = factorNames(name)
    return [network.siteWeight(name).name, [[u, [outFeatures, ranks[name]]], [v, [ranks[name], inFeatures]]] as const]
  }))
  const weights = new Map([...network.weights].flatMap(([name, shape]): ReadonlyArray<readonly [string, readonly number[]]> => shapes.get(name) ?? [[name, shape]]))
  return Object.assign(network, { weights, ranks: new Map(Object.entries(ranks)) })
}

/** @throws {InvalidModelError} if the module has no matrix that is a product, or not for itself */
export function checkProduct (network: Pick<Network, 'info' | 'siteWeight'>, site: string): void {
  checkOwnMatrix(network, site)
  const embeds = network.info.sites.some(({ name, embedding = false }) => name === site && embedding)
  if (embeds) throw new InvalidModelError(`${site} embeds tokens: its matrix is looked up in, and cannot be two factors`)
}

/** @throws {InvalidModelError} if the network has no such module, or another one has the same weight */
export function checkOwnMatrix (network: Pick<Network, 'info' | 'siteWeight'>, site: string): void {
  const { sites } = network.info
  if (!sites.some(({ name }) => name === site)) throw new InvalidModelError(`this model has no module ${site}`)
  const { name } = network.siteWeight(site)
  const other = sites.find(candidate => candidate.name !== site && network.siteWeight(candidate.name).name === name)
  if (other !== undefined) throw new InvalidModelError(`${site} has its weight in common with ${other.name}, so that neither can be changed alone`)
}
