import '../../src/node/promise-with-resolvers.js'
import { unlessAborted } from '../../src/protocols/deadline.js'
import type { ContributionRecord } from '../../src/protocols/contribution/index.js'
import type { JoinedJob, Jobs } from '../../src/node/jobs.js'
import type { Step, StepResult, StepRunner } from '../../src/node/trainer/step-runner.js'

/**
 * Trainers of one process that take each step together, so that an experiment has the same numbers each time: a step
 * begins when all have done the one before, at a host that has everyone's latest contribution. What the mesh does
 * otherwise, to tell members of each other's last contributions, is done here too.
 */
export class LockStep {
  readonly #host: Jobs
  readonly #count: number
  readonly #signal: AbortSignal
  readonly #joined: JoinedJob[] = []
  #arrived = 0
  #all = Promise.withResolvers<undefined>()

  /**
   * @param host its jobs
   * @param count of trainers
   * @param signal ends when one of them fails
   */
  constructor (host: Jobs, count: number, signal: AbortSignal) {
    this.#host = host
    this.#count = count
    this.#signal = signal
  }

  /** @param inner where the trainer's steps are run */
  runner (joined: JoinedJob, inner: StepRunner): StepRunner {
    this.#joined.push(joined)
    joined.members.addEventListener('change', () => { this.#onChange(joined) })
    return {
      open: async signal => await inner.open(signal),
      recover: async (error, signal) => await inner.recover(error, signal),
      run: async <T>(step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T> => {
        if (step.purpose === 'train') {
          await this.#everyone() // has done the step before
          if (step.contribution !== null) await this.#tellHost(step.contribution)
          await this.#everyone()
        }
        return await inner.run(step, use, signal)
      }
    }
  }

  /** The last contributions of all are told when they are there, and not while a step may be under way. */
  #onChange ({ peer, members }: JoinedJob): void {
    if (members.heardOf(peer)?.final !== true) return
    const last = this.#joined.flatMap(({ peer, members }) => members.heardOf(peer) ?? []).filter(({ final }) => final)
    if (last.length < this.#count) return
    for (const record of last) {
      this.#tellHost(record).catch(() => {}) // it is told with the evaluation's step, too
      for (const { members } of this.#joined) {
        if (members.heardOf(record.peer)?.final !== true) members.offer(record)
      }
    }
  }

  async #tellHost (record: ContributionRecord): Promise<void> {
    await this.#host.get(record.job)?.members.fetch(record, this.#signal)
  }

  async #everyone (): Promise<void> {
    const all = this.#all
    this.#arrived++
    if (this.#arrived === this.#count) {
      this.#arrived = 0
      this.#all = Promise.withResolvers()
      all.resolve(undefined)
    }
    await unlessAborted(all.promise, this.#signal)
  }
}
