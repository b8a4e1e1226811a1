import { StaleDataError } from '../../errors.js'
import type { Learner } from '../../gl/learner.js'
import type { ContributionRecord } from '../../protocols/contribution/index.js'
import type { StepReply } from '../../protocols/step/index.js'
import { dropoutKey, dropOut } from '../../tensor/dropout.js'
import type { AdapterTensors, Batch, SiteData } from '../../types.js'
import type { JoinedJob } from '../jobs.js'
import type { Reporter } from '../reporter.js'
import type { CheckpointFile, Progress } from './checkpoint.js'
import { type ContributedVersion, OwnVersions, type Version } from './own-versions.js'
import { Pipeline, type Turn } from './pipeline.js'
import { decayOf, fitsWhenSent, type Pace, reach } from './staleness.js'
import type { Standing } from './standing.js'
import { quorumReached } from './quorum.js'
import { type StepResult, type StepRunner, withRecovery } from './step-runner.js'

export interface TrainingInit {
  readonly joined: JoinedJob
  readonly runner: StepRunner
  readonly learner: Learner
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
  /** Members of the job. */
  readonly expected: number
  readonly pace: Pace
  /** What a prediction is of, for people. */
  readonly unit: string
  readonly reporter: Reporter
}

/** A trainer's way through its steps. */
export class Training {
  readonly #init: TrainingInit
  #progress: Progress
  /** Those with which steps were under way when the progress was saved. */
  readonly #older: Version[]
  readonly #versions: OwnVersions

  /** @param older versions with which steps were under way when the progress was saved */
  constructor (init: TrainingInit, progress: Progress, older: readonly Version[] = []) {
    const { joined: { members, peer }, pace: { ahead } } = init
    this.#init = init
    this.#progress = progress
    this.#older = [...older]
    this.#versions = new OwnVersions(peer, ahead + 1)
    members.keep(peer, ahead + 1)
  }

  get progress (): Progress { return this.#progress }
  /** This trainer's latest; null before its first. */
  get contribution (): ContributionRecord | null { return this.#init.joined.contribution ?? null }

  /** Notes the base model's loss on what is held out. */
  noteBaseLoss (baseLoss: number): void {
    this.#progress = { ...this.#progress, baseLoss }
  }

  /**
   * Gradient Learning (arXiv 2404.13844, Algorithm 1, user): a step at a host gives x and ∇ĥ of every site, from which
   * alone the auxiliaries are fitted; what comes of it is contributed, and is what the next step meets. Further steps may be
   * under way meanwhile, see `Pace`.
   *
   * @throws {NonFiniteError} if a loss or a gradient is not finite
   * @throws the signal's reason when it ends; what was done until then is saved
   */
  async run (signal: AbortSignal): Promise<void> {
    const { learner, standing, steps, pace } = this.#init
    if (this.#progress.step < steps && this.#isSurpassed(this.#progress.step)) {
      await this.contribute(true)
      return
    }
    const underWay = new Pipeline<StepReply | undefined>(signal)
    try {
      for (let last = this.#progress.step === steps; !last;) {
        const began = performance.now()
        const done = this.#progress.step
        for (let step = done + underWay.length; step < Math.min(steps, reach(done, pace)); step++) {
          underWay.begin(async (turn, signal) => await this.#step(step, turn, signal))
        }
        const reply = await underWay.next()
        last = done + 1 === steps || this.#isSurpassed(done + 1)
        const fitted = learner.ready || last
        if (fitted) await learner.fit()
        this.#advance(reply, performance.now() - began)
        const own = await standing.own()
        await this.#save(own)
        if (fitted) await this.#contribute(own, last)
      }
    } finally {
      await underWay.close()
    }
  }

  /** Whether this member is the straggler that the others do not wait for. */
  #isSurpassed (step: number): boolean {
    const { joined: { members, peer, job: { quorum = 1 } }, expected, steps, reporter, tokensOf } = this.#init
    const tokens = tokensOf?.(step) ?? this.#progress.tokens
    if (!quorumReached(members.held, { peer, tokens, expected, quorum })) return false
    reporter.log(`ending after step ${step} of ${steps}: members that are done hold ${(100 * quorum).toFixed(0)} % of all tokens or more (--quorum ${quorum})`)
    return true
  }

  /** Publishes the auxiliaries as they are. */
  async contribute (final: boolean): Promise<void> {
    await this.#contribute(await this.#init.standing.own(), final)
  }

  async #contribute (adapter: AdapterTensors, final: boolean): Promise<void> {
    const { joined, standing, learner: { fits }, tokensOf } = this.#init
    const { step } = this.#progress
    for (const older of this.#older.splice(0)) {
      const contributed = await this.#at(older.adapter, async () => await standing.contributed())
      this.#versions.add({ ...older, record: await joined.contribute(contributed, { tokens: older.tokens, final: false, told: false }) })
    }
    const tokens = tokensOf?.(step) ?? this.#progress.tokens
    this.#versions.add({ fits, tokens, adapter, record: await joined.contribute(await standing.contributed(), { tokens, final }) })
  }

  /** One batch at a host, until x and ∇ĥ of every site are gathered; again from the start where a host fails. */
  async #step (step: number, turn: Turn, signal: AbortSignal): Promise<StepReply | undefined> {
    const { runner, learner, pace, at } = this.#init
    const version = this.#versions.after(fitsWhenSent(step, pace))
    const batch = await at(step)
    if (batch === undefined) {
      await turn()
      learner.beginBatch(new Int32Array())
      await learner.endBatch()
      return undefined
    }
    return await withRecovery({ recover: async (error, signal) => await this.#recover(error, signal) }, signal, async () =>
      await runner.run({ step, oldest: this.#progress.step, purpose: 'train', adapted: true, batch, contribution: version?.record ?? null }, async result => {
        await turn()
        await this.#gather(step, batch, result, version, signal)
        return result.reply
      }, signal))
  }

  /** From what is the host's. */
  async #recover (error: Error, signal: AbortSignal): Promise<void> {
    const { learner, runner } = this.#init
    if (learner.failure !== undefined) throw learner.failure
    await runner.recover(error, signal)
  }

  async #gather (step: number, batch: Batch, { reply, data }: StepResult, sent: ContributedVersion | undefined, signal: AbortSignal): Promise<void> {
    const { learner, standing, counts, joined: { job: { mode } } } = this.#init
    await standing.meet(reply, signal)
    const stale = mode === 'joint' ? undefined : this.#staleOf(this.#versions.madeWith(reply, mode, sent))
    const gather = async (): Promise<void> => {
      learner.beginBatch(counts(batch))
      for await (const [site, own] of data) await learner.gather(site, this.#without(site, own, step, batch))
      await learner.endBatch(stale?.weight)
    }
    try {
      await (stale === undefined ? gather() : this.#at(stale.adapter, gather)) // the gradient is that at the w that the host ran
    } finally {
      learner.dropBatch()
    }
    if (stale !== undefined) this.#count('decayed')
  }

  /** What is done where the learner stands at other auxiliaries for the time. */
  async #at<T> (adapter: AdapterTensors, work: () => Promise<T>): Promise<T> {
    const { learner } = this.#init
    const present = await learner.adapter()
    await learner.assign(adapter)
    try {
      return await work()
    } finally {
      await learner.assign(present)
    }
  }

  /**
   * What data are gathered with if their version is not the present one.
   *
   * @throws {StaleDataError} if such data are refused
   */
  #staleOf ({ adapter, fits, record }: ContributedVersion): { readonly adapter: AdapterTensors, readonly weight: number } | undefined {
    const { learner, pace: { stale } } = this.#init
    const staleness = learner.fits - fits
    if (staleness === 0) return undefined
    if (stale === 'decay') return { adapter, weight: decayOf(staleness) }
    this.#count('refused')
    throw new StaleDataError(`the host ran ${record.manifest.id}, which was fitted ${staleness} times since; --stale refuse takes none but the present auxiliary's data`)
  }

  #count (what: keyof Progress['stale']): void {
    const { stale } = this.#progress
    this.#progress = { ...this.#progress, stale: { ...stale, [what]: stale[what] + 1 } }
  }

  /** A pair without what was dropped of x, by the mask that the host drew too. What is summed over rows the host has made of that. */
  #without (site: string, data: SiteData, step: number, { rows }: Batch): SiteData {
    const { joined: { job: { seed, auxiliary: { dropout: rate = 0 } }, peer, sites } } = this.#init
    if (rate === 0 || 'factors' in data || 'product' in data || sites.some(({ name, embedding = false }) => embedding && name === site)) return data
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

  async #save (adapter: AdapterTensors): Promise<void> {
    const { checkpoint, learner, pace, steps } = this.#init
    const { step } = this.#progress
    const older = step < steps ? this.#versions.between(fitsWhenSent(step, pace), learner.fits) : []
    await checkpoint.save({ progress: this.#progress, adapter, learner: await learner.state(), older })
  }
}

/** Predictions a second, over all steps so far. */
export function speed ({ tokens, milliseconds }: Progress): number {
  return milliseconds === 0 ? 0 : 1000 * tokens / milliseconds
}
