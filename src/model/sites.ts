import { UnknownSiteError } from '../errors.js'
import type { Site } from '../types.js'

/**
 * The sites that a list of names selects, in the network's order. As PEFT's `target_modules`: a name selects the
 * module of that full name and every module whose name ends with it after a dot.
 *
 * @throws {UnknownSiteError} if a name selects nothing
 */
export function selectSites (sites: readonly Site[], names: readonly string[]): Site[] {
  const matches = (site: Site, name: string): boolean => site.name === name || site.name.endsWith(`.${name}`)
  for (const name of names) {
    if (!sites.some(site => matches(site, name))) {
      throw new UnknownSiteError(`no site is called ${JSON.stringify(name)}; this model has ${endings(sites).join(', ')}, or full names such as ${sites[0].name}`)
    }
  }
  return sites.filter(site => names.some(name => matches(site, name)))
}

/** What the names of sites end with: `c_attn`, `c_proj`, … */
function endings (sites: readonly Site[]): string[] {
  return [...new Set(sites.map(site => site.name.slice(site.name.lastIndexOf('.') + 1)))]
}
