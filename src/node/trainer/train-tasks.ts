import { join } from 'node:path'
import type { EngineOptions } from '../../engine/open-engine.js'
import type { Host } from '../host/host.js'
import type { ColaNode } from '../node.js'
import type { Reporter } from '../reporter.js'
import type { TrainOptions } from './options.js'
import { type LocalContext, locally, meshPlace, type Place, type TrainContext } from './place.js'
import { Together } from './together.js'
import { trainAt, type TrainReport } from './train.js'

/** What a trainer of several tasks has done. */
export interface TasksReport {
  /** By the task's name. */
  readonly tasks: Readonly<Record<string, TrainReport>>
}

/** Several tasks in this process, see `trainTasks`. Throws as `trainLocally` does. */
export async function trainTasksLocally (options: TrainOptions, context: LocalContext, engine: EngineOptions = {}): Promise<TasksReport> {
  return await locally(options, context, engine, async (place, own) => await trainTasks(place, options, own))
}

/** Several tasks, see `trainTasks`. Throws as `trainInMesh` does. */
export async function trainTasksInMesh (node: ColaNode, options: TrainOptions, context: TrainContext, own?: Host): Promise<TasksReport> {
  return await trainTasks(await meshPlace(node, options, context, own), options, context)
}

/**
 * One trainer, several tasks on one base model: each has data and an auxiliary of its own, under a job of its own, and their steps
 * are one pass at the host.
 */
async function trainTasks (place: Place, { tasks = {}, ...options }: TrainOptions, context: TrainContext): Promise<TasksReport> {
  const together = new Together()
  const failed = new AbortController()
  const signal = AbortSignal.any([context.signal, failed.signal])
  const members = Object.entries(tasks).map(([task, data]) => ({ task, data, seat: together.seat() }))
  const trained = await Promise.allSettled(members.map(async ({ task, data, seat }) => {
    const own: TrainOptions = { ...options, data, job: `${options.job}/${task}`, ...(options.out !== undefined && { out: join(options.out, task) }) }
    const runner: Place['runner'] = (joined, wanted) => seat.runner(place.runner(joined, wanted))
    try {
      return await trainAt({ ...place, runner }, own, { ...context, signal, reporter: reporterOf(task, context.reporter) })
    } catch (error) {
      failed.abort(error) // the others save what they have
      throw error
    } finally {
      seat.leave()
    }
  }))
  const failure = trained.find(({ status }) => status === 'rejected')
  if (failure !== undefined) throw failed.signal.reason
  return { tasks: Object.fromEntries(trained.flatMap((result, i) => result.status === 'fulfilled' ? [[members[i].task, result.value]] : [])) }
}

/** Says of which task it speaks. */
function reporterOf (task: string, reporter: Reporter): Reporter {
  return { progress: (what, ...rest) => reporter.progress(`${task}: ${what}`, ...rest), log: line => reporter.log(`${task}: ${line}`) }
}
