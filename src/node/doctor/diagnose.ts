import type { EngineOptions } from '../../engine/open-engine.js'
import type { WeightForm } from '../../model/weights.js'
import type { MeshInit } from '../mesh.js'
import { type Check, type Checked, examine, skipped } from './check.js'
import { engineCheck } from './engine-check.js'
import { diskCheck, folderCheck, identityCheck } from './folder-checks.js'
import { listenCheck } from './listen-check.js'
import { dhtCheck, hostCheck } from './mesh-checks.js'
import { bootstrapCheck, clockCheck, reachableCheck } from './peer-checks.js'
import { versionsCheck } from './versions-check.js'
import { Visit } from './visit.js'

/** Clocks may differ by so much, in milliseconds: leases of 30 s are renewed every 10. */
const MAX_SKEW = 10_000

/** What is to be examined: a node that would be started so. */
export interface DiagnosisOptions {
  readonly folder: string
  readonly network: Omit<MeshInit, 'identity'>
  /** The model of which a host is looked for, as a trainer names it. @default any */
  readonly model?: string | undefined
  readonly form?: WeightForm
  readonly engine?: EngineOptions
  /** Bytes that shall be free for checkpoints and adapters. @default 256 MB */
  readonly freeDisk?: number
  /** How long one check may take, in milliseconds. @default 15_000 */
  readonly timeout?: number
  /** This machine's clock, in milliseconds since 1970. @default Date.now */
  readonly now?: () => number
}

export interface DiagnosisContext {
  readonly signal: AbortSignal
  /** Is told before each check which it is, and how many were done. */
  readonly onCheck?: (name: string, done: number, total: number) => void
}

const DEFAULT_LISTEN = ['/ip4/0.0.0.0/tcp/0']
const FREE_DISK = 256e6
const TIMEOUT = 15_000

/** Of a check's time: the rest is for saying what a search did not find. */
const SEARCH_SHARE = 0.8

/** All that are looked at, in their order. */
const NAMES = ['identity', 'folder', 'disk', 'engine', 'listen', 'network', 'bootstrap', 'reachable', 'dht', 'host', 'clock', 'versions'] as const

/** Looks at all that a node needs, one thing after the other. Each ends in time; the first that fails does not end the others. */
export async function diagnose (options: DiagnosisOptions, { signal, onCheck }: DiagnosisContext): Promise<Checked[]> {
  const { folder, network, engine = {}, freeDisk = FREE_DISK, timeout = TIMEOUT } = options
  const found: Checked[] = []
  const look = async (check: Check): Promise<void> => {
    onCheck?.(check.name, found.length, NAMES.length)
    found.push(await examine(check, timeout, signal))
  }
  for (const check of [identityCheck(folder), folderCheck(folder), diskCheck(folder, freeDisk), engineCheck(engine)]) await look(check)
  const usable: string[] = []
  await look(listenCheck(network.listen ?? DEFAULT_LISTEN, address => usable.push(address)))
  const begun: Visit[] = []
  await look(networkCheck(options, usable, visit => begun.push(visit)))
  const [visit] = begun as [Visit?]
  try {
    for (const check of visit === undefined ? offline() : online(visit, options, timeout)) await look(check)
  } finally {
    await visit?.end()
  }
  return found
}

/** Whether a node starts at all. */
function networkCheck ({ network: { bootstrap: _, ...network }, now = Date.now }: DiagnosisOptions, listen: readonly string[], onBegun: (visit: Visit) => void): Check {
  return {
    name: 'network',
    unended: 'see that this process may open TCP connections, and name another folder with --local-discovery, or none',
    look: async () => {
      const visit = await Visit.begin({ ...network, listen }, now)
      onBegun(visit)
      return { state: 'ok', detail: `listens on ${visit.mesh.getMultiaddrs().length} addresses`, advice: null }
    }
  }
}

function online (visit: Visit, { network: { bootstrap = [] }, model, form = {} }: DiagnosisOptions, timeout: number): Check[] {
  return [
    bootstrapCheck(visit, bootstrap, timeout * SEARCH_SHARE),
    reachableCheck(visit),
    dhtCheck(visit),
    hostCheck(visit, model, form, timeout * SEARCH_SHARE),
    clockCheck(visit, MAX_SKEW),
    versionsCheck(visit)
  ]
}

/** Where there is no network of which anything could be said. */
function offline (): Check[] {
  const none = NAMES.slice(NAMES.indexOf('bootstrap'), NAMES.indexOf('versions')).map(name => ({ name, unended: '', look: async () => await Promise.resolve(skipped('no network')) }))
  return [...none, versionsCheck(undefined)]
}
