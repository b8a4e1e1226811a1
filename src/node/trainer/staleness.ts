/** What becomes of adaptation data that were made with an auxiliary that has been fitted since. */
export const STALE_RULES = ['refuse', 'decay'] as const
type StaleRule = typeof STALE_RULES[number]

/** How far a trainer's steps run ahead of its fits. */
export interface Pace {
  /** Steps that are sent beyond the one that it is at, at most. */
  readonly ahead: number
  /** Batches that are gathered before a fit. */
  readonly interval: number
  readonly stale: StaleRule
}

/**
 * What gradients are multiplied by before they are gathered: (1 + s)^(−a), FedAsync's polynomial function of staleness
 * (Xie et al. 2019, arXiv 1903.03934) with a = 1/2.
 *
 * @param staleness s, the trainer's own fits between the auxiliary that the data were made with and the present one
 */
export function decayOf (staleness: number): number {
  return 1 / Math.sqrt(1 + staleness)
}

/**
 * The first step that may not be sent yet where the first `done` are done. What would be refused is not sent: with that rule
 * steps run ahead to the end of an interval, in which the auxiliaries stand still.
 */
export function reach (done: number, { ahead, interval, stale }: Pace): number {
  const furthest = done + ahead + 1
  return stale === 'decay' ? furthest : Math.min(furthest, (Math.floor(done / interval) + 1) * interval)
}

/**
 * Fits that a trainer has done when it sends a step, the earlier of which are `reach` away: so staleness depends on nothing
 * but the step's number, and a run can be repeated and resumed.
 */
export function fitsWhenSent (step: number, { ahead, interval, stale }: Pace): number {
  return Math.floor((stale === 'decay' ? Math.max(0, step - ahead) : step) / interval)
}
