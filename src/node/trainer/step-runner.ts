import type { StepReply, StepRequest } from '../../protocols/step/index.js'
import type { WeightNorms } from '../../tensor/weight-norms.js'
import type { SiteData } from '../../types.js'

/** What a trainer asks for: the job, wire form and contribution are its runner's to add. */
export type Step = Pick<StepRequest, 'step' | 'oldest' | 'purpose' | 'adapted' | 'batch' | 'contribution' | 'together'>

/** What a host gives for a step. */
export interface StepResult {
  readonly reply: StepReply
  /** x and ∇ĥ of each site of the job, in any order, as they come, each good until the next is asked for; nothing for an evaluation. */
  readonly data: Iterable<readonly [site: string, data: SiteData]> | AsyncIterable<readonly [site: string, data: SiteData]>
}

/** Where the base model is run for a trainer: at some host of the mesh, or in this very process. */
export interface StepRunner {
  /**
   * Has the job open somewhere, and what is known there of its members.
   *
   * @returns norms of the rows of the sites' weights, where the job's auxiliaries start from them; else nothing
   */
  open (signal: AbortSignal): Promise<WeightNorms>

  /**
   * Several steps may run at once.
   *
   * @param use what is done with the result: adaptation data that are left when it ends are not waited for
   */
  run<T> (step: Step, use: (result: StepResult) => T | Promise<T>, signal: AbortSignal): Promise<T>

  /**
   * After `run` has failed with this error: ends when it makes sense to try the step again, at this host or at
   * another one.
   *
   * @throws the error, or the signal's reason, if it does not
   */
  recover (error: Error, signal: AbortSignal): Promise<void>
}

/** Does something with a step's outcome, and again from the start if a host fails. */
export async function withRecovery<T> (runner: Pick<StepRunner, 'recover'>, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      signal.throwIfAborted()
      await runner.recover(error as Error, signal)
    }
  }
}
