import { type Batches, heldOutBatches } from '../../data/batches.js'
import type { Adapter } from '../../gl/peft/adapter.js'
import type { Job } from '../../job.js'
import type { ModelInfo } from '../../model/base-model.js'
import { selectSites } from '../../model/sites.js'
import type { ContributionRecord } from '../../protocols/contribution/index.js'
import type { Site } from '../../types.js'
import { loadDataset } from '../dataset.js'
import type { Jobs, JoinedJob } from '../jobs.js'
import type { ModelSource } from '../model-source.js'
import type { Reporter } from '../reporter.js'
import { evaluate } from './evaluate.js'
import type { TrainOptions } from './options.js'
import type { StepRunner } from './step-runner.js'
import type { Wanted } from './wire-form.js'

/** What has become of an earlier task: losses on its data. */
export interface Forgetting {
  readonly task: string
  /** Of the base model alone. */
  readonly base: number
  /** With the task's own adapter, before the new one was trained. */
  readonly before: number
  /** With the task's own adapter, afterwards. */
  readonly after: number
  /** With the new adapter, and the earlier ones beside it. */
  readonly composed: number
}

/** An adapter that was learned earlier, by the name of its task. */
export type EarlierAdapters = ReadonlyMap<string, Adapter>

export interface ReviewInit {
  readonly options: TrainOptions
  readonly earlier: EarlierAdapters
  readonly source: ModelSource
  readonly jobs: Jobs
  readonly runner: (joined: JoinedJob, wanted: Wanted) => StepRunner
  readonly reporter: Reporter
}

/** A task that is looked at before and after another one is trained. */
interface Reviewed {
  readonly task: string
  readonly batches: Batches
  readonly runner: StepRunner
  /** Its own adapter. */
  readonly contribution: ContributionRecord
  readonly base: number
  readonly before: number
}

/** Earlier tasks, each with its own adapter selected: which runs as a job of its own at the host. */
export class Review {
  readonly #reviewed: readonly Reviewed[]
  readonly #reporter: Reporter

  private constructor (reviewed: readonly Reviewed[], reporter: Reporter) {
    this.#reviewed = reviewed
    this.#reporter = reporter
  }

  /**
   * Takes the losses of before.
   *
   * @throws {InvalidDataError} if the data cannot be read; what steps throw
   */
  static async begin ({ options, earlier, source, jobs, runner, reporter }: ReviewInit, signal: AbortSignal): Promise<Review> {
    const reviewed: Reviewed[] = []
    for (const [task, paths] of Object.entries(options.review ?? {})) {
      const adapter = earlier.get(task)
      if (adapter === undefined) continue
      const { length, batchSize, heldOutRows } = options
      const { train } = await loadDataset(source, {
        paths: [...paths], heldOutShare: 0, ...(length !== undefined && { length }), signal, onProgress: (done, total) => reporter.progress(`reading data of ${task}`, done, total)
      })
      const sites = [...selectSites(source.info, [...adapter.tensors.keys()])].sort((a, b) => a.name < b.name ? -1 : 1)
      const joined = jobs.join(jobOf(task, adapter, sites, source.info, options), sites)
      const own = runner(joined, { wire: 'f32', auxiliary: adapter.spec, sites })
      await own.open(signal)
      const contribution = await joined.contribute(adapter.tensors, { tokens: 0, final: true })
      const batches = heldOutBatches(train, batchSize, { maxRows: heldOutRows })
      const at = { task, batches, runner: own, contribution }
      const loss = async (adapted: boolean): Promise<number> => await lossOf(own, batches, { adapted, contribution }, `${task}, before`, reporter, signal)
      reviewed.push({ ...at, base: await loss(false), before: await loss(true) })
    }
    return new Review(reviewed, reporter)
  }

  /** @param runner of the job that was trained meanwhile, with its last contribution */
  async end (runner: StepRunner, contribution: ContributionRecord | null, signal: AbortSignal): Promise<Forgetting[]> {
    const forgetting: Forgetting[] = []
    for (const { task, batches, base, before, runner: own, contribution: selected } of this.#reviewed) {
      const after = await lossOf(own, batches, { adapted: true, contribution: selected }, `${task}, after`, this.#reporter, signal)
      const composed = await lossOf(runner, batches, { adapted: true, contribution }, `${task}, composed`, this.#reporter, signal)
      forgetting.push({ task, base, before, after, composed })
    }
    return forgetting
  }
}

function jobOf (task: string, { spec: { kind, ...auxiliary } }: Adapter, sites: readonly Site[], model: ModelInfo, { job: name, seed }: TrainOptions): Job {
  return { name: `${name}/review/${task}`.slice(0, 200), model: model.id, sites: sites.map(site => site.name), auxiliary, kinds: [kind], mode: 'alone', merge: 'never', interval: 1, seed }
}

async function lossOf (
  runner: StepRunner, batches: Batches, at: { readonly adapted: boolean, readonly contribution: ContributionRecord | null }, what: string, reporter: Reporter, signal: AbortSignal
): Promise<number> {
  const result = await evaluate(runner, batches, { ...at, onProgress: (done, total) => reporter.progress(`reviewing ${what}`, done, total) }, signal)
  return result?.loss ?? NaN
}
