import { type BackendChoice, startBackend } from '../engine/backend.js'
import { predictedBy } from '../model/tasks/tasks.js'
import { ColaNode } from '../node/node.js'
import type { TrainOptions } from '../node/trainer/options.js'
import type { TrainContext } from '../node/trainer/place.js'
import { describePrivacy } from '../node/trainer/privacy.js'
import { trainInMesh, type TrainReport } from '../node/trainer/train.js'
import { type TasksReport, trainTasksInMesh } from '../node/trainer/train-tasks.js'
import type { Context } from './command.js'
import { meshInit, type NETWORK_OPTIONS, tellBans } from './network.js'
import type { Values } from './options.js'
import { terminalReporter } from './reporter.js'
import { type NameOf, trafficLines } from './traffic-lines.js'

/** Where a trainer keeps its identity and checkpoints unless told otherwise. */
export const MESH_FOLDER = '.colanet/train'

interface NetworkTraining {
  readonly options: TrainOptions
  /** Id of the job that it has to be. @default whatever the options say */
  readonly expected?: string | null
  readonly folder: string
  readonly backend: BackendChoice
  readonly network: Values<typeof NETWORK_OPTIONS>
}

/** Trains at a host of the mesh, and tells what came of it. */
export async function trainInNetwork ({ options, expected = null, folder, backend, network }: NetworkTraining, { signal, progress, report, log }: Context): Promise<void> {
  const { name, description } = await startBackend(backend)
  const reporter = terminalReporter({ progress, log })
  const context: TrainContext = { folder, engine: name, reporter, signal, ...(expected !== null && { expected }) }
  log(`fits on ${description}`)
  try {
    const node = await ColaNode.start({ folder, ...meshInit(network), log })
    tellBans(node, log)
    try {
      await tell(options.tasks === undefined ? await trainInMesh(node, options, context) : await trainTasksInMesh(node, options, context), report)
    } finally {
      await node.stop()
    }
  } finally {
    reporter.end()
  }
}

export async function tell (done: TrainReport | TasksReport, report: Context['report']): Promise<void> {
  const reports = 'tasks' in done ? Object.values(done.tasks) : [done]
  const names = new Map(reports.map(({ job, name }) => [job, name]))
  await report(done, reports.map(report => summary(report, job => names.get(job))).join('\n\n'))
}

function summary ({ name, mode, task, steps, losses, tokensPerSecond, heldOut, deltaHash, members, privacy, adapter, ...accounts }: TrainReport, nameOf: NameOf): string {
  const loss = (value: number | null | undefined): string => value?.toFixed(4) ?? 'none'
  return [
    `job ${name} (${mode}), ${steps} steps, ${tokensPerSecond.toFixed(0)} ${predictedBy(task)}/s, ${members.length} ${members.length === 1 ? 'member' : 'members'}`,
    `training loss ${loss(losses[0])} → ${loss(losses.at(-1))}`,
    `held-out loss ${loss(heldOut.base)} (base) → ${loss(heldOut.adapted)} (adapted)`,
    ...(privacy === null ? [] : [`private: ${describePrivacy(privacy)}`]),
    ...(Object.keys(accounts.bytes).length === 0 ? [] : [trafficLines(accounts, nameOf)]),
    `ΔW ${deltaHash}`,
    `adapter ${adapter}`
  ].join('\n')
}
