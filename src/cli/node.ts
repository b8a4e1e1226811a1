import { BACKENDS, startBackend } from '../engine/backend.js'
import { BaseModel } from '../model/base-model.js'
import { type NodeConfig, readNodeConfig } from '../node/config.js'
import { Host } from '../node/host/host.js'
import { lend } from '../node/host/lend.js'
import { ColaNode } from '../node/node.js'
import { trainInMesh, type TrainReport } from '../node/trainer/train.js'
import { type Context, defineCommand } from './command.js'
import { describePeer } from './network.js'
import { terminalReporter } from './reporter.js'
import { untilAborted, watchHost } from './watch-host.js'

/** One node in both roles, as a configuration file says, until it is told to stop or has nothing more to do. */
export const node = defineCommand({
  command: 'node',
  describe: 'A daemon in either role or both, as a configuration file says',
  options: {
    config: { type: 'string', default: 'colanet.json', describe: 'JSON: folder, listen, bootstrap, mdns, localFolder, host: { model, limits }, train: [{ model, data, job, … }]' },
    backend: { type: 'choice', choices: ['auto', ...BACKENDS], default: 'auto', describe: 'what computes' }
  },
  examples: [['node --config colanet.json', '{"host": {"model": "models/tiny"}, "train": [{"model": "models/tiny", "data": ["notes.txt"]}]}']],
  handler: async ({ config: path, backend }, context) => {
    const { host: hosting, train, folder, ...init } = await readNodeConfig(path)
    const { signal, report, log } = context
    const engine = await startBackend(backend)
    log(`computes on ${engine.description}`)
    const model = hosting === undefined ? undefined : await BaseModel.load(hosting.model)
    const started = await ColaNode.start({ folder, ...defined(init) })
    try {
      describePeer(started, log)
      const lent = model === undefined || hosting === undefined ? undefined : await startHost(started, model, hosting, engine.description, log)
      const trained = await trainAll(train, async options => await trainInMesh(started, options, {
        folder, engine: engine.name, reporter: terminalReporter(context), signal
      }, lent?.host), lent === undefined, context)
      if (lent !== undefined) await untilAborted(signal)
      await lent?.stop()
      await report({
        peer: started.mesh.peerId.toString(),
        engine: engine.name,
        host: lent === undefined ? null : { model: lent.host.model.id, steps: lent.host.steps, tokensPerSecond: lent.host.tokensPerSecond },
        train: trained,
        bytes: started.traffic.report()
      }, trained.map(({ name, heldOut: { base, adapted }, adapter }) => `job ${name}: held-out loss ${String(base)} → ${String(adapted)}, ${adapter}`).join('\n'))
    } finally {
      await started.stop()
      model?.dispose()
    }
  }
})

async function startHost (
  node: ColaNode, model: BaseModel, { model: folder, limits }: NonNullable<NodeConfig['host']>, engine: string, log: (line: string) => void
): Promise<{ host: Host, stop: () => Promise<void> }> {
  const host = new Host({ model, jobs: node.jobs, limits: defined(limits) })
  const stop = await lend(node, { host, folder, engine })
  log(`hosting ${model.name}, model ${model.id}`)
  const unwatch = watchHost(host, log)
  return {
    host,
    stop: async () => {
      unwatch()
      await stop()
    }
  }
}

/** One job after the other. A job that fails ends a node that only trains; a host stays up. */
async function trainAll (
  jobs: NodeConfig['train'], run: (options: NodeConfig['train'][number]) => Promise<TrainReport>, only: boolean, { signal, log }: Pick<Context, 'signal' | 'log'>
): Promise<TrainReport[]> {
  const reports: TrainReport[] = []
  for (const options of jobs) {
    if (signal.aborted) break
    try {
      reports.push(await run(options))
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
