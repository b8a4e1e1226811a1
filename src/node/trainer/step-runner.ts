import type { StepReply, StepRequest } from '../../protocols/step/index.js'
import type { SiteData } from '../../types.js'

/** What a trainer asks for: the job, wire form and contribution are its runner's to add. */
export type Step = Pick<StepRequest, 'step' | 'purpose' | 'adapted' | 'batch' | 'contribution'>

export interface RunStep {
  readonly reply: StepReply
  /** x and ∇ĥ of each site of the job, in any order, as they come; nothing for an evaluation. */
  readonly data: Iterable<readonly [site: string, data: SiteData]> | AsyncIterable<readonly [site: string, data: SiteData]>
}

/** Where the base model is run for a trainer: at some host of the mesh, or in this very process. */
export interface StepRunner {
  /** Has the job open somewhere, and what is known there of its members. */
  open (signal: AbortSignal): Promise<void>

  run (step: Step, signal: AbortSignal): Promise<RunStep>

  /**
   * After `run`, or the data it gives, have failed: ends when it makes sense to try the step again, at this host or at
   * another one.
   *
   * @throws the error, or the signal's reason, if it does not
   */
  recover (error: Error, signal: AbortSignal): Promise<void>
}

/** Does something with a step's outcome, and again from the start if a host fails. */
export async function withRecovery<T> (runner: StepRunner, signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      signal.throwIfAborted()
      await runner.recover(error as Error, signal)
    }
  }
}
