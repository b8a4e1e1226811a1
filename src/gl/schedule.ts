import { InvalidOptionError } from '../errors.js'

export const SCHEDULES = ['linear', 'cosine', 'constant'] as const
export type ScheduleKind = typeof SCHEDULES[number]

export interface ScheduleOptions {
  readonly kind: ScheduleKind
  /** The highest learning rate. */
  readonly rate: number
  /** How many fits there will be. */
  readonly fits: number
  /**
   * The share of the fits in which the rate rises from 0.
   * @default 0.05 for `linear`, 0 for the others
   */
  readonly warmup?: number
}

/** The learning rate of a fit, counted from 0. */
export type Schedule = (fit: number) => number

const DEFAULT_WARMUP: Record<ScheduleKind, number> = { linear: 0.05, cosine: 0, constant: 0 }

/** What is left of the rate when a share of the way is done. */
const DECAY: Record<ScheduleKind, (share: number) => number> = {
  linear: share => 1 - share,
  cosine: share => (1 + Math.cos(Math.PI * share)) / 2,
  constant: () => 1
}

/**
 * Learning rates as transformers' `get_linear_schedule_with_warmup`, `get_cosine_schedule_with_warmup` and
 * `get_constant_schedule_with_warmup` give them, the warm-up steps rounded up as its Trainer does.
 * They count fits, not batches.
 *
 * @throws {InvalidOptionError}
 */
export function createSchedule ({ kind, rate, fits, warmup = DEFAULT_WARMUP[kind] }: ScheduleOptions): Schedule {
  if (!Number.isFinite(rate) || rate <= 0) throw new InvalidOptionError(`learning rate ${rate} is not possible; use a number above 0`)
  if (!Number.isSafeInteger(fits) || fits < 1) throw new InvalidOptionError(`${fits} fits are not possible; use a whole number from 1`)
  if (!(warmup >= 0 && warmup <= 1)) throw new InvalidOptionError(`warm-up ${warmup} is not possible; use a share from 0 to 1`)
  const rising = Math.ceil(fits * warmup)
  return fit => {
    if (fit < rising) return rate * fit / rising
    return rate * DECAY[kind](Math.min(1, (fit - rising) / Math.max(1, fits - rising)))
  }
}
