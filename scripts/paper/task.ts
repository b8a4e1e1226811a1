import type { z } from 'zod'
import type { OptimizerKind } from '../../src/gl/optimizer.js'
import type { ScheduleKind } from '../../src/gl/schedule.js'
import type { trainOptionsSchema } from '../../src/node/trainer/options.js'
import type { AuxiliaryKind } from '../../src/types.js'

/** What a method moves: auxiliaries of a kind, the weights of the adapted sites, or all of the model's own. */
export type Trained = AuxiliaryKind | 'sites' | 'all'

/** Settings that all methods of a task share. */
export interface Settings {
  readonly steps: number
  readonly batchSize: number
  /** Tokens in a row; undefined where rows are no texts. */
  readonly length: number | undefined
  readonly rank: number
  readonly optimizer: OptimizerKind
  readonly schedule: ScheduleKind
  readonly interval: number
  /** As `selectSites` takes them. */
  readonly sites: readonly string[] | undefined
  /** Share of the data that is never trained on, and the most rows of it that are predicted. */
  readonly heldOut: number
  readonly heldOutRows: number
  /** Peak learning rates. What is trained with the same settings but by another method has the same. */
  readonly rates: Readonly<Record<'low-rank' | 'mlp' | 'full', number>>
}

/** Someone who trains. */
export interface User {
  readonly name: string
  /** Files and folders. */
  readonly data: readonly string[]
}

/** What a table compares methods on. */
export interface Task {
  readonly name: string
  /** Folder of the base model. */
  readonly model: string
  /** One at least. */
  readonly users: readonly User[]
  readonly settings: Settings
}

/** What `colanet train` would be given, but for mode and kind. */
export function trainOptionsOf ({ model, settings }: Pick<Task, 'model' | 'settings'>, { data }: User, trained: Trained, seed: number): z.input<typeof trainOptionsSchema> {
  const { length, sites, rates, ...shared } = settings
  return {
    ...shared,
    model,
    data: [...data],
    ...(length !== undefined && { length }),
    ...(sites !== undefined && { sites: [...sites] }),
    seed,
    lr: rateOf({ rates }, trained),
    // Full training would pull weights to zero, linear auxiliaries to the base model's: two methods.
    weightDecay: 0
  }
}

/** A linear auxiliary is the change of a weight, and learns at the rate of the weight itself. */
export function rateOf ({ rates }: Pick<Settings, 'rates'>, trained: Trained): number {
  return trained === 'low-rank' || trained === 'mlp' ? rates[trained] : rates.full
}
