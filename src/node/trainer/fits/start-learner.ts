import { startBackend } from '../../../engine/backend.js'
import type { Learner } from '../../../gl/learner.js'
import type { TrainOptions } from '../options.js'
import { createLearner, learnerPlan, type LearnerStart, type Plan } from '../plan.js'
import { ThreadedLearner } from './threaded-learner.js'

/** The learner that follows the options, at its start: in this thread, or in as many as they say and there are sites to fit. */
export async function startLearner (options: TrainOptions, plan: Plan, start: LearnerStart, log: (line: string) => void): Promise<Learner> {
  const { fitThreads } = options
  const threads = Math.min(fitThreads, plan.fitted.length)
  if (threads < fitThreads) log(`--fit-threads ${fitThreads} is more than the modules that are fitted; there are as many threads as modules, ${threads}`)
  if (threads === 1) return createLearner(options, plan, start)
  const { name: backend } = await startBackend()
  return await ThreadedLearner.start(learnerPlan(options, plan, start), { threads, backend })
}
