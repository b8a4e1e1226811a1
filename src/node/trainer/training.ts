import type { GradientLearner } from '../../gl/gradient-learner.js'
import type { ContributionRecord } from '../../protocols/contribution/index.js'
import type { StepReply } from '../../protocols/step/index.js'
import type { JoinedJob } from '../jobs.js'
import type { Reporter } from '../reporter.js'
import type { CheckpointFile, Progress } from './checkpoint.js'
import type { Standing } from './standing.js'
import { type StepRunner, withRecovery } from './step-runner.js'
import type { TrainingData } from './training-data.js'

export interface TrainingInit {
  readonly joined: JoinedJob
  readonly runner: StepRunner
  readonly learner: GradientLearner
  readonly standing: Standing
  readonly data: TrainingData
  readonly checkpoint: CheckpointFile
  /** In all. */
  readonly steps: number
  /** What a prediction is of, for people. */
  readonly unit: string
  readonly reporter: Reporter
}

/** A trainer's way through its steps. */
export class Training {
  readonly #init: TrainingInit
  #progress: Progress
  /** This trainer's latest; null before its first. */
  #contribution: ContributionRecord | null = null

  constructor (init: TrainingInit, progress: Progress) {
    this.#init = init
    this.#progress = progress
  }

  get progress (): Progress { return this.#progress }
  get contribution (): ContributionRecord | null { return this.#contribution }

  /** Notes the base model's loss on what is held out. */
  noteBaseLoss (baseLoss: number): void {
    this.#progress = { ...this.#progress, baseLoss }
  }

  /**
   * Gradient Learning (arXiv 2404.13844, Algorithm 1, user): a step at a host gives x and ∇ĥ of every site, from which
   * alone the auxiliaries are fitted; what comes of it is contributed, and is what the next step meets.
   *
   * @throws {NonFiniteError} if a loss or a gradient is not finite
   * @throws the signal's reason when it ends; what was done until then is saved
   */
  async run (signal: AbortSignal): Promise<void> {
    const { learner, steps } = this.#init
    while (this.#progress.step < steps) {
      const began = performance.now()
      const reply = await this.#step(this.#progress.step, signal)
      const last = this.#progress.step + 1 === steps
      const fitted = learner.ready || last
      if (fitted) await learner.fit()
      this.#advance(reply, performance.now() - began)
      await this.#save()
      if (fitted) await this.contribute(last)
    }
  }

  /** Publishes the auxiliaries as they are. */
  async contribute (final: boolean): Promise<void> {
    const { joined, standing } = this.#init
    this.#contribution = await joined.contribute(await standing.contributed(), { tokens: this.#progress.tokens, final })
  }

  /** One batch at a host, until x and ∇ĥ of every site are gathered; again from the start where a host fails. */
  async #step (step: number, signal: AbortSignal): Promise<StepReply> {
    const { runner, learner, standing, data: { at } } = this.#init
    const batch = await at(step)
    return await withRecovery(runner, signal, async () => {
      try {
        return await runner.run({ step, purpose: 'train', adapted: true, batch, contribution: this.#contribution }, async ({ reply, data }) => {
          await standing.meet(reply, signal)
          for await (const [site, own] of data) learner.gather(site, own)
          learner.endBatch()
          return reply
        }, signal)
      } finally {
        learner.dropBatch()
      }
    })
  }

  #advance ({ loss, tokens, shared }: StepReply, milliseconds: number): void {
    const { reporter, steps, unit } = this.#init
    const done = this.#progress
    this.#progress = {
      ...done,
      step: done.step + 1,
      tokens: done.tokens + tokens,
      losses: [...done.losses, loss],
      sharedSteps: done.sharedSteps + (shared > 1 ? 1 : 0),
      milliseconds: done.milliseconds + milliseconds
    }
    reporter.progress('training', this.#progress.step, steps, `loss ${loss.toFixed(4)}  ${speed(this.#progress).toFixed(0)} ${unit}/s`)
  }

  async #save (): Promise<void> {
    const { checkpoint, learner, standing } = this.#init
    await checkpoint.save({ progress: this.#progress, adapter: await standing.own(), learner: await learner.state() })
  }
}

/** Predictions a second, over all steps so far. */
export function speed ({ tokens, milliseconds }: Progress): number {
  return milliseconds === 0 ? 0 : 1000 * tokens / milliseconds
}
