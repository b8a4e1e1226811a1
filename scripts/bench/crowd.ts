import '../../src/cli/stdout.js'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { pEvent } from 'p-event'
import { writeToStdout } from '../../src/cli/stdout.js'
import type { Job } from '../../src/job.js'
import { Host } from '../../src/node/host/host.js'
import { lend } from '../../src/node/host/lend.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import type { JoinedJob } from '../../src/node/jobs.js'
import { ColaNode } from '../../src/node/node.js'
import type { Site } from '../../src/types.js'
import { cAttnJob } from './c-attn-job.js'
import { randomAdapter } from './random-adapter.js'

/** What a process of nodes is started with, as JSON. */
export interface CrowdInit {
  readonly folder: string
  readonly nodes: number
  /** The only address that they are told. @default none: they are the first */
  readonly bootstrap?: string
  /** Model folder that the first of them lends. @default none */
  readonly lends?: string
}

/** A line of its standard input, as JSON. */
export type CrowdRequest =
  | { readonly type: 'find', readonly model: string }
  | { readonly type: 'join', readonly job: Job, readonly sites: readonly Site[] }
  | { readonly type: 'contribute', readonly node: number, readonly seed: number }
  | { readonly type: 'arrivals', readonly contribution: Contribution }

/** A contribution of a node, and when it was made, in milliseconds since 1970. */
export interface Contribution {
  readonly peer: string
  readonly round: number
  readonly at: number
}

export interface CrowdGreeting {
  readonly address: string
  /** What it lends. */
  readonly lent?: { readonly model: string, readonly job: Job, readonly sites: readonly Site[] }
}

/** The share of its time that a process is busy at most when its nodes have met, and how long it is watched, in milliseconds. */
const [CALM, WINDOW] = [0.3, 1_000]

const { folder, nodes: count, bootstrap, lends } = JSON.parse(process.argv[2]) as CrowdInit
const signal = new AbortController().signal
const nodes: ColaNode[] = []
for (let i = 0; i < count; i++) {
  const known = bootstrap ?? nodes.at(0)?.mesh.getMultiaddrs().at(0)?.toString()
  nodes.push(await ColaNode.start({
    folder: join(folder, String(i)), listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false, localFolder: false, ...(known !== undefined && { bootstrap: [known] })
  }))
}
await calm()
const [first] = nodes
const joined: JoinedJob[] = []
/** When each contribution was here, by node. */
const arrivals: Array<Map<string, number>> = []
const [address] = first.mesh.getMultiaddrs().map(String)
await tell((lends === undefined ? { address } : { address, lent: await lendModel(lends) }) satisfies CrowdGreeting)
for await (const line of createInterface({ input: process.stdin })) await tell(await answer(JSON.parse(line) as CrowdRequest))
process.exit()

async function answer (request: CrowdRequest): Promise<unknown> {
  switch (request.type) {
    case 'find': return await Promise.all(nodes.map(async node => await timeToFind(node, request.model)))
    case 'join': return nodes.map(node => joinJob(node, request.job, request.sites).id)
    case 'contribute': return await contribute(joined[request.node], request.seed)
    case 'arrivals': return await Promise.all(joined.map(async (_, i) => await arrival(i, request.contribution)))
  }
}

/** Ends when this process has little to do: nodes that start together open a connection for each pair of them. */
async function calm (): Promise<void> {
  for (let busy = 1; busy > CALM;) {
    const before = performance.eventLoopUtilization()
    await delay(WINDOW)
    busy = performance.eventLoopUtilization(before).utilization
  }
}

/** In milliseconds. */
async function timeToFind (node: ColaNode, model: string): Promise<number> {
  const began = performance.now()
  for await (const { peer } of node.adverts.find(model, { signal })) {
    if (peer !== node.mesh.peerId.toString()) break
  }
  return performance.now() - began
}

function joinJob ({ jobs }: ColaNode, job: Job, sites: readonly Site[]): JoinedJob {
  const own = jobs.join(job, sites)
  const here = new Map<string, number>()
  joined.push(own)
  arrivals.push(here)
  own.members.addEventListener('change', () => {
    for (const { peer, round } of own.members.held) {
      if (!here.has(`${peer}/${round}`)) here.set(`${peer}/${round}`, Date.now())
    }
  })
  return own
}

async function contribute (own: JoinedJob, seed: number): Promise<Contribution> {
  const at = Date.now()
  const { peer, round } = await own.contribute(randomAdapter(own.sites, seed), { tokens: 1, final: false })
  return { peer, round, at }
}

/** Milliseconds from when it was made. */
async function arrival (node: number, { peer, round, at }: Contribution): Promise<number> {
  const key = `${peer}/${round}`
  if (!arrivals[node].has(key)) await pEvent(joined[node].members, 'change', () => arrivals[node].has(key))
  return (arrivals[node].get(key) ?? Infinity) - at
}

async function lendModel (modelFolder: string): Promise<NonNullable<CrowdGreeting['lent']>> {
  const model = await ModelThread.open({ folder: modelFolder, log: line => process.stderr.write(`${line}\n`), threads: 1 })
  await lend(first, { host: new Host({ model, jobs: first.jobs }), folder: modelFolder })
  return { model: model.info.id, ...cAttnJob(model.info, 'collaboration') }
}

async function tell (message: unknown): Promise<void> {
  await writeToStdout(`${JSON.stringify(message)}\n`)
}
