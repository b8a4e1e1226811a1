import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidDataError } from '../../src/errors.js'
import { joined, type Scores, scoresOf } from '../../src/node/evaluation.js'
import { ModelThread } from '../../src/node/host/model-thread.js'
import { sourceInFolder } from '../../src/node/model-source.js'
import { parseTrainOptions } from '../../src/node/trainer/options.js'
import { readTrainingData, type TrainingData } from '../../src/node/trainer/training-data.js'
import type { AuxiliaryKind } from '../../src/types.js'
import { BackPropagation } from './back-propagation.js'
import { trainByGradientLearning } from './gradient-learning.js'
import type { Method } from './method.js'
import { trainByBackPropagation } from './ordinary.js'
import type { CommonValues, PartContext } from './part.js'
import type { UserResult } from './result.js'
import { type Statistic, statistic } from './statistics.js'
import { type Task, type Trained, trainOptionsOf } from './task.js'

/** One method on one task, with each seed. */
export interface Row {
  readonly task: string
  readonly method: Method
  readonly runs: readonly Run[]
  /** Of the held-out rows of all users: the loss, and what is usual for the task. */
  readonly measures: ReadonlyMap<string, Statistic>
}

interface Run {
  readonly seed: number
  readonly seconds: number
  readonly users: readonly UserResult[]
}

const SEEDS = { quick: 2, full: 5 }

/** Every method on every task with every seed. */
export async function compare (tasks: readonly Task[], methods: readonly Method[], options: CommonValues, context: PartContext): Promise<Row[]> {
  const rows: Row[] = []
  for (const task of tasks) {
    const running = await RunningTask.open(task, options, context)
    try {
      for (const method of methods) {
        const runs: Run[] = []
        for (const seed of seedsOf(options)) runs.push(await running.run(method, seed))
        rows.push({ task: task.name, method, runs, measures: measuresOf(runs) })
      }
    } finally {
      await running.dispose()
    }
  }
  return rows
}

function seedsOf ({ seeds, seed, quick }: CommonValues): number[] {
  return Array.from({ length: seeds ?? SEEDS[quick ? 'quick' : 'full'] }, (_, i) => seed + i)
}

/** Mean over users of the losses of a step. */
export function lossesOf ({ users }: Run): number[] {
  return users[0].losses.map((_, step) => users.reduce((sum, { losses }) => sum + losses[step], 0) / users.length)
}

export function scoresOfRun (users: ReadonlyArray<Pick<UserResult, 'heldOut'>>): Scores {
  return scoresOf(joined(users.map(({ heldOut }) => heldOut)))
}

/** A task's model, ready for either way. */
class RunningTask {
  readonly #task: Task
  readonly #context: PartContext
  readonly #lent: ModelThread
  readonly #model: BackPropagation
  /** By seed. */
  readonly #data = new Map<number, readonly TrainingData[]>()
  #runs = 0

  private constructor (task: Task, context: PartContext, lent: ModelThread, model: BackPropagation) {
    this.#task = task
    this.#context = context
    this.#lent = lent
    this.#model = model
  }

  static async open (task: Task, { threads }: CommonValues, context: PartContext): Promise<RunningTask> {
    const { log } = context
    const lent = await ModelThread.open({ folder: task.model, log, ...(threads !== undefined && { threads }) })
    log(`${task.name}: ${lent.info.name} on ${lent.engine.description}`)
    try {
      return new RunningTask(task, context, lent, await BackPropagation.open(task.model, log, threads))
    } catch (error) {
      await lent.dispose()
      throw error
    }
  }

  async run (method: Method, seed: number): Promise<Run> {
    const { log } = this.#context
    const data = this.#data.get(seed) ?? await this.#read(seed)
    this.#data.set(seed, data)
    const began = performance.now()
    const users = await (method.way === 'back-propagation' ? this.#byBackPropagation(method, data, seed) : this.#byGradientLearning(method, data, seed))
    const seconds = (performance.now() - began) / 1000
    log(`${this.#task.name}, ${method.name}, seed ${seed}: held-out loss ${scoresOfRun(users).loss.toFixed(4)}, ${seconds.toFixed(1)} s`)
    return { seed, seconds, users }
  }

  async dispose (): Promise<void> {
    await this.#lent.dispose()
    await this.#model.dispose()
  }

  async #byBackPropagation ({ trained, mode }: Method, data: readonly TrainingData[], seed: number): Promise<UserResult[]> {
    const { users, settings } = this.#task
    const ordinary = users.map(({ name }, k) => ({ name, trained: trainedBy(trained, k), data: data[k] }))
    return await trainByBackPropagation(this.#model, ordinary, { settings, mode, seed, signal: this.#context.signal })
  }

  async #byGradientLearning ({ trained, mode, merge }: Method, data: readonly TrainingData[], seed: number): Promise<UserResult[]> {
    const { users, settings, model } = this.#task
    const folder = join(this.#context.folder, `${this.#task.name}-${this.#runs++}`)
    await mkdir(folder)
    const own = users.map((user, k) => ({ ...user, kind: trainedBy(trained, k) as AuxiliaryKind, read: data[k] }))
    return await trainByGradientLearning(this.#lent, own, { model, settings, mode, merge, seed, folder, signal: this.#context.signal })
  }

  /** @throws {InvalidDataError} if there is too little of them */
  async #read (seed: number): Promise<TrainingData[]> {
    const { users, model } = this.#task
    const source = sourceInFolder(model, this.#lent.info)
    const silent = { progress: () => {}, log: () => {} }
    return await Promise.all(users.map(async user => {
      const data = await readTrainingData(parseTrainOptions(trainOptionsOf(this.#task, user, 'linear', seed)), source, silent, this.#context.signal)
      if (data.heldOut.count === 0) throw new InvalidDataError(`${user.name} has too little data to hold any out; give it more rows`)
      return data
    }))
  }
}

function trainedBy (trained: readonly Trained[], user: number): Trained {
  return trained[user % trained.length]
}

/** Those that are a number with every seed. */
function measuresOf (runs: readonly Run[]): Map<string, Statistic> {
  const all = runs.map(({ users }) => {
    const { loss, metrics } = scoresOfRun(users)
    return new Map<string, number | null>([['loss', loss], ...Object.entries(metrics)])
  })
  const valuesOf = (name: string): number[] => all.flatMap(own => own.get(name) ?? [])
  return new Map([...all[0].keys()].filter(name => valuesOf(name).length === runs.length).map(name => [name, statistic(valuesOf(name))]))
}
