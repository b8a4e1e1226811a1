/** What a learner says of sites that are not those that it has. */
import { InvalidAdapterError, UnknownSiteError } from '../errors.js'

/** Of data that came for none of the sites, or for one of them again. */
export function unexpectedSite (site: string, sites: readonly string[]): UnknownSiteError {
  return new UnknownSiteError(`adaptation data of ${site} are not expected${sites.includes(site) ? ' twice' : ''}; this job's sites: ${sites.join(', ')}`)
}

/** Of a batch that ends without them. */
export function missingSites (missing: readonly string[]): UnknownSiteError {
  return new UnknownSiteError(`no adaptation data came for ${missing.join(', ')}`)
}

/** @throws {InvalidAdapterError} if an adapter has auxiliaries of other sites */
export function checkSitesOf (adapter: ReadonlyMap<string, unknown>, sites: readonly string[]): void {
  const others = [...adapter.keys()].filter(site => !sites.includes(site))
  if (others.length > 0) throw new InvalidAdapterError(`there is no auxiliary for ${others.join(', ')}; this job's sites: ${sites.join(', ')}`)
}
