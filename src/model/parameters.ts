import type { TensorsByName } from '../engine/step.js'
import type { Network, Parameters } from './network.js'

/** The name under which a step gets a site's merged weight. */
export function mergedName (site: string): string {
  return `merged.${site}`
}

/** What a network computes with in a step, to which the weights of merged sites are given beside those of θ. */
export function parametersOf (network: Network, tensor: TensorsByName, merged: { has (site: string): boolean }): Parameters {
  return { tensor, weight: site => tensor(merged.has(site) ? mergedName(site) : network.siteWeight(site).name) }
}
