import type { AuxiliarySpec, Site } from '../types.js'
import { Auxiliary, type AuxiliaryStart } from './auxiliary.js'
import { ComposedAuxiliary, type Composition, type FrozenFactors } from './composed-auxiliary.js'
import type { FittedAuxiliary } from './fitted-auxiliary.js'
import { GradientLearner, type GradientLearnerInit } from './gradient-learner.js'
import { Optimizer, type OptimizerKind } from './optimizer.js'
import { createSchedule, type ScheduleOptions } from './schedule.js'

/** One auxiliary that is to be fitted. */
export interface AuxiliaryPlan {
  readonly site: Site
  readonly spec: AuxiliarySpec
  readonly start: AuxiliaryStart
  /** What stands still beside it. @default nothing does */
  readonly beside?: { readonly earlier: readonly FrozenFactors[], readonly composition: Composition }
}

/** What a learner is made of, in values that can be sent to another thread. */
export interface LearnerPlan extends Omit<GradientLearnerInit, 'auxiliaries' | 'optimizer' | 'schedule'> {
  readonly auxiliaries: readonly AuxiliaryPlan[]
  readonly optimizer: { readonly kind: OptimizerKind, readonly weightDecay: number }
  readonly schedule: ScheduleOptions
}

/** @throws what `Auxiliary`, `Optimizer` and `createSchedule` throw */
export function learnerOf ({ auxiliaries, optimizer: { kind, weightDecay }, schedule, ...init }: LearnerPlan): GradientLearner {
  const [optimizer, rates] = [new Optimizer(kind, weightDecay), createSchedule(schedule)]
  return new GradientLearner({ ...init, auxiliaries: auxiliaries.map(auxiliaryOf), optimizer, schedule: rates })
}

function auxiliaryOf ({ site, spec, start, beside }: AuxiliaryPlan): FittedAuxiliary {
  return beside === undefined ? new Auxiliary(spec, site, start) : new ComposedAuxiliary(spec, site, start, beside.earlier, beside.composition)
}
