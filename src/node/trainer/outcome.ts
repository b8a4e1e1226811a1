import { writeAdapter } from '../../gl/peft.js'
import type { ModelInfo } from '../../model/base-model.js'
import { deltaHash } from '../../merge/delta-hash.js'
import { meanOfParameters } from '../../merge/mean-of-parameters.js'
import { meanOfProducts } from '../../merge/mean-of-products.js'
import { stack, type StackedAdapter } from '../../merge/stack.js'
import type { Weighted } from '../../merge/weighted.js'
import type { JoinedJob } from '../jobs.js'

/** What has come of a job, as this member has it. */
export interface Outcome {
  readonly adapter: StackedAdapter
  /** Names its α·ΔW. */
  readonly deltaHash: string
}

/** What the trainer's rows met at the end: its own auxiliary, everyone's mean product, or the one that all moved. */
export function outcomeOf ({ job, sites, members, peer }: JoinedJob): Outcome {
  const { held } = members
  const spec = job.auxiliary
  const counted: readonly Weighted[] = {
    alone: () => held.filter(member => member.peer === peer),
    collaboration: () => held,
    joint: () => [{ tokens: 1, adapter: meanOfParameters(held) }]
  }[job.mode]()
  return { adapter: stack(counted, spec, sites), deltaHash: deltaHash(meanOfProducts(counted, spec, sites)) }
}

/** In PEFT's format. */
export async function writeOutcome (folder: string, { adapter }: Outcome, base: ModelInfo): Promise<void> {
  await writeAdapter(folder, adapter, base)
}
