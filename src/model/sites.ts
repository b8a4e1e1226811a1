import { UnknownSiteError } from '../errors.js'
import type { Site } from '../types.js'
import type { NetworkInfo } from './network.js'

/** Selects every module but embeddings and those of the head. */
const ALL_LINEAR = 'all-linear'

/** What only a regular expression has: the names of modules are letters, digits, dots, `_` and `-`. */
const REGULAR_EXPRESSION = /[^\w.-]/

/**
 * The sites that a list of names selects, in the network's order. As PEFT's `target_modules`: a name selects the module of
 * that full name and every module whose name ends with it after a dot; a regular expression those whose full name it
 * matches as a whole; and `all-linear` all but embeddings and those of the head, to which the output layer belongs.
 *
 * @param output the name of the output layer
 * @throws {UnknownSiteError} if a name selects nothing, or is no regular expression
 */
export function selectSites ({ sites, output }: Pick<NetworkInfo, 'sites' | 'output'>, names: readonly string[]): Site[] {
  const selected = names.flatMap(name => {
    const matches = matcherOf(name, output)
    const own = sites.filter(matches)
    if (own.length === 0) {
      throw new UnknownSiteError(`no site is called ${JSON.stringify(name)}; this model has ${endings(sites).join(', ')}, full names such as ${sites[0].name}, and ${ALL_LINEAR}`)
    }
    return own
  })
  return sites.filter(site => selected.includes(site))
}

/** What the modules of feed-forward blocks are called in the architectures that we know. */
const FEED_FORWARD = /\.mlp\.|\.fc[12]$|\.DenseReluDense\.|\.layer\.\d+\.(intermediate|output)\.dense$/

/** The modules of all feed-forward blocks; of a network without such blocks all that `all-linear` selects. */
export function feedForwardSites (info: Pick<NetworkInfo, 'sites' | 'output'>): Site[] {
  const found = info.sites.filter(({ name }) => FEED_FORWARD.test(name))
  return found.length > 0 ? found : selectSites(info, [ALL_LINEAR])
}

function matcherOf (name: string, output: string): (site: Site) => boolean {
  if (name === ALL_LINEAR) {
    const [head] = output.split('.')
    return ({ name, embedding = false }) => !embedding && name !== head && !name.startsWith(`${head}.`)
  }
  if (!REGULAR_EXPRESSION.test(name)) return site => site.name === name || site.name.endsWith(`.${name}`)
  try {
    const whole = new RegExp(`^(?:${name})$`)
    return site => whole.test(site.name)
  } catch (cause) {
    throw new UnknownSiteError(`${JSON.stringify(name)} is neither a name nor a regular expression: ${(cause as Error).message}`, { cause })
  }
}

/** What the names of sites end with: `c_attn`, `c_proj`, … */
function endings (sites: readonly Site[]): string[] {
  return [...new Set(sites.map(site => site.name.slice(site.name.lastIndexOf('.') + 1)))]
}
