import { ADVERT_PROTOCOL } from '../../protocols/advert/index.js'
import { BLOB_PROTOCOL } from '../../protocols/blob/index.js'
import { CONTRIBUTION_PROTOCOL } from '../../protocols/contribution/index.js'
import { NODE_VERSIONS, VERSION } from '../../version.js'
import { AGENT, DHT_PROTOCOL } from '../mesh.js'
import { type Check, failed, ok } from './check.js'
import type { Visit } from './visit.js'

/** What every node speaks, in whichever role. */
const PROTOCOLS = [ADVERT_PROTOCOL, BLOB_PROTOCOL, CONTRIBUTION_PROTOCOL, DHT_PROTOCOL]

/** Whether Node.js is one that this package runs on, and peers speak what it speaks. @param visit none where there is no network */
export function versionsCheck (visit: Visit | undefined, nodeVersion = process.versions.node): Check {
  return {
    name: 'versions',
    unended: 'try again when the peers are less busy',
    look: async signal => {
      const own = `colanet ${VERSION}, Node.js ${nodeVersion}`
      if (!isAtLeast(nodeVersion, NODE_VERSIONS)) return failed(`${own}; it runs on ${NODE_VERSIONS}`, `install Node.js ${NODE_VERSIONS}`)
      const told = await Promise.all(visit?.mesh.getPeers().map(async peer => ({ peer, ...await visit.told(peer, signal) })) ?? [])
      const peers = told.filter(({ agent }) => agent.startsWith(`${AGENT}/`))
      const others = peers.flatMap(({ peer, agent, protocols }) => {
        const missing = PROTOCOLS.filter(protocol => !protocols.includes(protocol))
        return missing.length === 0 ? [] : [`…${peer.toString().slice(-8)} (${agent}) does not speak ${missing.join(', ')}`]
      })
      const agents = [...new Set(peers.map(({ agent }) => agent))].sort().join('; ')
      if (others.length > 0) return failed(`${own}; ${others.join('; ')}`, 'have both sides run the same version: npm install colanet@latest')
      return ok(agents === '' ? own : `${own}; peers: ${agents}`)
    }
  }
}

/** @param range `>=` and a version, as package.json has it */
function isAtLeast (version: string, range: string): boolean {
  const numbers = (text: string): number[] => text.replace(/^[^\d]*/, '').split('.').map(Number)
  const [own, least] = [numbers(version), numbers(range)]
  const difference = [0, 1, 2].map(i => (own[i] ?? 0) - (least[i] ?? 0)).find(difference => difference !== 0) ?? 0
  return difference >= 0
}
