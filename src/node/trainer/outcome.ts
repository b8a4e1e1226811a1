import { isMergeable } from '../../auxiliary-spec.js'
import { writeAdapters } from '../../gl/peft/write-adapter.js'
import type { ModelInfo } from '../../model/base-model.js'
import { deltaHash } from '../../merge/delta-hash.js'
import { meanOfParameters } from '../../merge/mean-of-parameters.js'
import { meanOfProducts } from '../../merge/mean-of-products.js'
import { besideOneAnother, stack, type StackedAdapter } from '../../merge/stack.js'
import type { Weighted } from '../../merge/weighted.js'
import type { JoinedJob } from '../jobs.js'

/** What has come of a job, as this member has it. */
export interface Outcome {
  /** Their sum: one, and beside it each that is not linear in x. */
  readonly adapters: readonly StackedAdapter[]
  /** Names its α·ΔW, and what is beside it. */
  readonly deltaHash: string
}

/** What the trainer's rows met at the end: its own auxiliary, everyone's mean product, or the one that all moved. */
export function outcomeOf ({ job, sites, members, peer }: JoinedJob): Outcome {
  const { held } = members
  const counted: readonly Weighted[] = {
    alone: () => held.filter(member => member.peer === peer),
    collaboration: () => held,
    joint: () => held.slice(0, 1).map(({ spec }) => ({ tokens: 1, spec, adapter: meanOfParameters(held) }))
  }[job.mode]()
  const beside = besideOneAnother(counted, spec => !isMergeable(spec))
  return { adapters: [stack(counted, sites) ?? [], beside].flat(), deltaHash: deltaHash(meanOfProducts(counted, sites), beside) }
}

/** In PEFT's format. */
export async function writeOutcome (folder: string, { adapters }: Outcome, base: ModelInfo): Promise<void> {
  await writeAdapters(folder, adapters, base)
}
