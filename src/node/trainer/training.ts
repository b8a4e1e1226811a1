import type { GradientLearner } from '../../gl/gradient-learner.js'
import type { ContributionRecord } from '../../protocols/contribution/index.js'
import type { StepReply } from '../../protocols/step/index.js'
import { dropoutKey, dropOut } from '../../tensor/dropout.js'
import type { Batch, SiteData } from '../../types.js'
import type { JoinedJob } from '../jobs.js'
import type { Reporter } from '../reporter.js'
import type { CheckpointFile, Progress } from './checkpoint.js'
import type { Standing } from './standing.js'
import { type StepRunner, withRecovery } from './step-runner.js'

export interface TrainingInit {
  readonly joined: JoinedJob
  readonly runner: StepRunner
  readonly learner: GradientLearner
  readonly standing: Standing
  /** The batch of a step, from 0; undefined where there is none, and a private fit is made of noise alone. */
  readonly at: (step: number) => Promise<Batch | undefined>
  /** Predictions of each row of a batch that count. */
  readonly counts: (batch: Batch) => Int32Array
  /** What contributions tell of the predictions of so many steps. @default those that counted */
  readonly tokensOf?: (steps: number) => number
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
    const { joined, standing, tokensOf } = this.#init
    const { step, tokens } = this.#progress
    this.#contribution = await joined.contribute(await standing.contributed(), { tokens: tokensOf?.(step) ?? tokens, final })
  }

  /** One batch at a host, until x and ∇ĥ of every site are gathered; again from the start where a host fails. */
  async #step (step: number, signal: AbortSignal): Promise<StepReply | undefined> {
    const { runner, learner, standing, at, counts } = this.#init
    const batch = await at(step)
    if (batch === undefined) {
      learner.beginBatch(new Int32Array())
      learner.endBatch()
      return undefined
    }
    return await withRecovery(runner, signal, async () => {
      try {
        return await runner.run({ step, purpose: 'train', adapted: true, batch, contribution: this.#contribution }, async ({ reply, data }) => {
          await standing.meet(reply, signal)
          learner.beginBatch(counts(batch))
          for await (const [site, own] of data) learner.gather(site, this.#without(site, own, step, batch))
          learner.endBatch()
          return reply
        }, signal)
      } finally {
        learner.dropBatch()
      }
    })
  }

  /** A pair without what was dropped of x, by the mask that the host drew too. What is summed over rows the host has made of that. */
  #without (site: string, data: SiteData, step: number, { rows }: Batch): SiteData {
    const { joined: { job: { seed, auxiliary: { dropout: rate = 0 } }, peer, sites } } = this.#init
    if (rate === 0 || 'factors' in data || sites.some(({ name, embedding = false }) => embedding && name === site)) return data
    return { ...data, x: dropOut(data.x, rows, { rate, key: dropoutKey(seed, peer, step) }, site) }
  }

  #advance (reply: StepReply | undefined, milliseconds: number): void {
    const { reporter, steps, unit } = this.#init
    const done = this.#progress
    this.#progress = {
      ...done,
      step: done.step + 1,
      tokens: done.tokens + (reply?.tokens ?? 0),
      losses: [...done.losses, ...(reply === undefined ? [] : [reply.loss])],
      sharedSteps: done.sharedSteps + ((reply?.shared ?? 1) > 1 ? 1 : 0),
      milliseconds: done.milliseconds + milliseconds
    }
    const loss = reply === undefined ? 'no row drawn' : `loss ${reply.loss.toFixed(4)}`
    reporter.progress('training', this.#progress.step, steps, `${loss}  ${speed(this.#progress).toFixed(0)} ${unit}/s`)
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
