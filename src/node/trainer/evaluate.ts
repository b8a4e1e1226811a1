import type { Batches } from '../../data/batches.js'
import type { ContributionRecord } from '../../protocols/contribution/index.js'
import { type StepRunner, withRecovery } from './step-runner.js'

export interface Evaluation {
  /** Mean over all tokens that count, in nats. */
  readonly loss: number
  /** The state that was applied; null for the base model alone. */
  readonly version: string | null
}

export interface EvaluateOptions {
  readonly adapted: boolean
  readonly contribution: ContributionRecord | null
  readonly onProgress: (done: number, total: number) => void
}

/** The loss on batches; undefined if there are none, or if the state changed from one batch to another. */
export async function evaluate (
  runner: StepRunner, batches: Batches, { adapted, contribution, onProgress }: EvaluateOptions, signal: AbortSignal
): Promise<Evaluation | undefined> {
  let sum = 0
  let counted = 0
  let first: string | null | undefined
  for (let step = 0; step < batches.count; step++) {
    const batch = await batches.at(step)
    const { loss, tokens, version } = await withRecovery(runner, signal, async () =>
      await runner.run({ step, purpose: 'evaluate', adapted, batch, contribution }, ({ reply }) => reply, signal))
    first = step === 0 ? version : first
    if (version !== first) return undefined
    sum += loss * tokens
    counted += tokens
    onProgress(step + 1, batches.count)
  }
  return first === undefined ? undefined : { loss: sum / counted, version: first }
}
