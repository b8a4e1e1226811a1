import { startBackend } from '../engine/backend.js'
import { type NodeConfig, readNodeConfig } from '../node/config.js'
import { Host } from '../node/host/host.js'
import { lend } from '../node/host/lend.js'
import type { LentModel } from '../node/host/lent-model.js'
import { ModelThread } from '../node/host/model-thread.js'
import { ColaNode } from '../node/node.js'
import type { TrainOptions } from '../node/trainer/options.js'
import type { TrainContext } from '../node/trainer/place.js'
import { trainInMesh, type TrainReport } from '../node/trainer/train.js'
import { trainTasksInMesh } from '../node/trainer/train-tasks.js'
import { type Context, defineCommand } from './command.js'
import { ENGINE_OPTIONS, engineOptions } from './engine.js'
import { bannedBy, describePeer, tellBans } from './network.js'
import { terminalReporter } from './reporter.js'
import { trafficLines } from './traffic-lines.js'
import { untilAborted, watchHost } from './watch-host.js'

/** One node in both roles, as a configuration file says, until it is told to stop or has nothing more to do. */
export const node = defineCommand({
  command: 'node',
  describe: 'A daemon in either role or both, as a configuration file says',
  options: {
    config: { type: 'string', default: 'colanet.json', describe: 'JSON: folder, listen, bootstrap, mdns, localFolder, host: { model, limits, quotas }, train: [{ model, data, job, … }]' },
    ...ENGINE_OPTIONS
  },
  examples: [['node --config colanet.json', '{"host": {"model": "models/tiny"}, "train": [{"model": "models/tiny", "data": ["notes.txt"]}]}']],
  handler: async ({ config: path, ...options }, context) => {
    const { host: hosting, train, folder, ...init } = await readNodeConfig(path)
    const { signal, report, log } = context
    const backend = await startBackend(options.backend) // of the fits
    const model = hosting === undefined ? undefined : await ModelThread.open({ folder: hosting.model, log, ...engineOptions(options) })
    const engine = model?.engine ?? backend
    log(`computes on ${engine.description}`)
    const started = await ColaNode.start({ folder, ...defined(init), log })
    try {
      describePeer(started, log)
      tellBans(started, log)
      const lent = model === undefined || hosting === undefined ? undefined : await startHost(started, model, hosting, log)
      const reports = await trainAll(train, async options => await trained(started, options, {
        folder, engine: backend.name, reporter: terminalReporter(context), signal
      }, lent?.host), lent === undefined, context)
      if (lent !== undefined) await untilAborted(signal)
      await lent?.stop()
      const accounts = started.traffic.accounts()
      const lines = reports.map(({ name, heldOut: { base, adapted }, adapter }) => `job ${name}: held-out loss ${String(base)} → ${String(adapted)}, ${adapter}`)
      await report({
        peer: started.mesh.peerId.toString(),
        engine: engine.name,
        host: lent === undefined ? null : { model: lent.host.model.info.id, steps: lent.host.steps, tokensPerSecond: lent.host.tokensPerSecond },
        train: reports,
        banned: bannedBy(started),
        ...accounts
      }, [...lines, trafficLines(accounts, job => started.jobs.nameOf(job))].join('\n'))
    } finally {
      await started.stop()
      await model?.dispose()
    }
  }
})

async function startHost (
  node: ColaNode, model: LentModel, { model: folder, limits, quotas }: NonNullable<NodeConfig['host']>, log: (line: string) => void
): Promise<{ host: Host, stop: () => Promise<void> }> {
  const host = new Host({ model, jobs: node.jobs, limits: defined(limits) })
  const stop = await lend(node, { host, folder, ...(quotas && { quotas: defined(quotas) }) })
  log(`hosting ${model.info.name}, model ${model.info.id}`)
  const unwatch = watchHost(host, node, log)
  return {
    host,
    stop: async () => {
      unwatch()
      await stop()
    }
  }
}

/** A job, or each of its tasks. */
async function trained (node: ColaNode, options: TrainOptions, context: TrainContext, own: Host | undefined): Promise<TrainReport[]> {
  return options.tasks === undefined ? [await trainInMesh(node, options, context, own)] : Object.values((await trainTasksInMesh(node, options, context, own)).tasks)
}

/** One job after the other. A job that fails ends a node that only trains; a host stays up. */
async function trainAll (
  jobs: NodeConfig['train'], run: (options: NodeConfig['train'][number]) => Promise<TrainReport[]>, only: boolean, { signal, log }: Pick<Context, 'signal' | 'log'>
): Promise<TrainReport[]> {
  const reports: TrainReport[] = []
  for (const options of jobs) {
    if (signal.aborted) break
    try {
      reports.push(...await run(options))
    } catch (error) {
      if (only) throw error
      log(`job ${options.job}: ${(error as Error).name}: ${(error as Error).message}`)
    }
  }
  return reports
}

/** Without the keys whose values are undefined, which the optional options of a node do not take. */
function defined<T extends object> (object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
