import type { Host } from '../node/host/host.js'
import type { ColaNode } from '../node/node.js'
import { sharesOfJobs } from './traffic-lines.js'

/** How often a host that works says so, in milliseconds. */
const WATCH_INTERVAL = 10_000

/** Tells now and then what a host has done, and for which jobs. @returns stops it */
export function watchHost (host: Pick<Host, 'steps' | 'tokensPerSecond'>, { traffic, jobs }: Pick<ColaNode, 'traffic' | 'jobs'>, log: (line: string) => void): () => void {
  let told = 0
  const timer = setInterval(() => {
    if (host.steps === told) return
    told = host.steps
    log(`${host.steps} training steps served, ${host.tokensPerSecond.toFixed(0)} tokens/s; by job: ${sharesOfJobs(traffic.byJob(), job => jobs.nameOf(job))}`)
  }, WATCH_INTERVAL)
  return () => clearInterval(timer)
}

export async function untilAborted (signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
}
