import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { EMBEDDED_MODEL } from '../../../src/cli/package-root.js'
import type { Contribution, CrowdGreeting, CrowdInit, CrowdRequest } from '../crowd.js'
import { type Figure, figure, quantile, readable } from '../figure.js'
import { LineChild } from '../line-child.js'
import { definePart, type PartContext } from '../part.js'

const CROWD = join(import.meta.dirname, '..', 'crowd.ts')

/** How long nodes are given to be neighbours in the job's topic, in milliseconds. */
const SETTLE = 5_000

/** How long one of the nodes may take to find the host, or to have a contribution, in milliseconds. */
const PATIENCE = 120_000

interface Times {
  readonly find: readonly number[]
  readonly reach: readonly number[]
}

/**
 * Many nodes that are told one address, which is no host's, and have met: the time from when a host is there until each has found it by the id of
 * its model alone; and, of contributions of one after the other, the time from the contribution until it counts at each.
 */
export const crowd = definePart({
  name: 'crowd',
  describe: 'many nodes: time until each has found a host by its model\'s id, and until it has a contribution',
  options: {
    nodes: { type: 'integer', min: 2, default: 50, describe: 'nodes in one process' },
    processes: { type: 'integer', min: 2, default: 12, describe: 'processes, in another run, of a node each' },
    contributions: { type: 'integer', min: 1, default: 10, describe: 'that are made, each by another node' }
  },
  measure: async ({ nodes, processes, contributions }, context) => {
    const together = await measured('together', [nodes], contributions, context)
    const apart = await measured('apart', Array.from({ length: processes }, () => 1), contributions, context)
    return {
      head: ['', 'ms to find a host', 'worst', 'ms to have a contribution', 'worst'],
      rows: [row(`${nodes} nodes in a process`, together), row(`${processes} processes`, apart)],
      figures: { ...figuresOf('Together', together), ...figuresOf('Apart', apart) }
    }
  }
})

async function measured (name: string, sizes: readonly number[], contributions: number, { folder, signal, log }: PartContext): Promise<Times> {
  const children: LineChild[] = []
  const start = async (init: CrowdInit): Promise<CrowdGreeting> => {
    const child = await LineChild.fromSources(CROWD, [JSON.stringify(init)], signal)
    children.push(child)
    return child.greeting as CrowdGreeting
  }
  try {
    let bootstrap: string | undefined
    for (const [i, nodes] of sizes.entries()) {
      const { address } = await start({ folder: join(folder, name, String(i)), nodes, ...(bootstrap !== undefined && { bootstrap }) })
      bootstrap ??= address
    }
    const groups = [...children]
    const ofAll = async <T>(request: CrowdRequest): Promise<T[]> =>
      (await Promise.all(groups.map(async group => await ask(group, request, signal) as T[]))).flat()
    log(`${name}: ${sizes.reduce((a, b) => a + b)} nodes are there`)
    const { lent } = await start({ folder: join(folder, name, 'host'), nodes: 1, lends: EMBEDDED_MODEL, ...(bootstrap !== undefined && { bootstrap }) })
    if (lent === undefined) throw new Error('the host lends nothing')
    const find = await ofAll<number>({ type: 'find', model: lent.model })
    log(`${name}: all have found the host`)
    await ofAll({ type: 'join', job: lent.job, sites: lent.sites })
    await delay(SETTLE, undefined, { signal })
    const reach: number[] = []
    for (let k = 0; k < contributions; k++) {
      const group = k % groups.length
      const contribution = await ask(groups[group], { type: 'contribute', node: k % sizes[group], seed: k }, signal) as Contribution
      const times = await ofAll<number>({ type: 'arrivals', contribution })
      reach.push(...times)
      log(`${name}: contribution ${k + 1} of ${contributions}: the last had it after ${Math.max(...times)} ms`)
    }
    return { find, reach }
  } finally {
    await Promise.all(children.map(async child => await child.stop()))
  }
}

async function ask (child: LineChild, request: CrowdRequest, signal: AbortSignal): Promise<unknown> {
  const over = new AbortController()
  const late = delay(PATIENCE, undefined, { signal: AbortSignal.any([signal, over.signal]) }).then(() => { throw new Error(`no answer to ${request.type} within ${PATIENCE / 1000} s`) })
  try {
    return await Promise.race([child.ask(JSON.stringify(request)), late])
  } finally {
    over.abort()
  }
}

function row (name: string, { find, reach }: Times): string[] {
  return [name, readable(figure(find)), worst(find).toFixed(0), readable(figure(reach)), worst(reach).toFixed(0)]
}

function figuresOf (suffix: string, { find, reach }: Times): Record<string, Figure> {
  return {
    [`findMs${suffix}`]: figure(find),
    [`worstFindMs${suffix}`]: figure([worst(find)]),
    [`reachMs${suffix}`]: figure(reach),
    [`worstReachMs${suffix}`]: figure([worst(reach)])
  }
}

function worst (times: readonly number[]): number {
  return quantile([...times].sort((a, b) => a - b), 1)
}
