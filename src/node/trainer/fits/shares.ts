import { parameterShapes } from '../../../gl/auxiliary.js'
import type { AuxiliaryPlan } from '../../../gl/learner-plan.js'
import { ONCE, outputShape } from '../../../places.js'

/**
 * Shares auxiliaries out among threads, so that each has about as much to do: the dearest first, each to the thread that has least.
 * Of equal ones neighbours go to different threads, as their data come one after the other.
 *
 * @returns one share for each thread, in the order of the auxiliaries; as many as there are auxiliaries at most, and none empty
 */
export function sharesOf (auxiliaries: readonly AuxiliaryPlan[], threads: number): ReadonlyArray<readonly AuxiliaryPlan[]> {
  const shares = Array.from({ length: Math.min(threads, auxiliaries.length) }, () => ({ cost: 0, own: new Set<AuxiliaryPlan>() }))
  const dearestFirst = auxiliaries.map(auxiliary => ({ auxiliary, cost: costOf(auxiliary) })).sort((a, b) => b.cost - a.cost)
  for (const { auxiliary, cost } of dearestFirst) {
    const least = shares.reduce((least, share) => share.cost < least.cost ? share : least)
    least.own.add(auxiliary)
    least.cost += cost
  }
  return shares.map(({ own }) => auxiliaries.filter(auxiliary => own.has(auxiliary)))
}

/** What gathering takes: as much for each parameter and place. */
function costOf ({ site, spec }: AuxiliaryPlan): number {
  const parameters = [...parameterShapes(spec, site).values()].reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0)
  return parameters * outputShape(site, 1, ONCE)[0]
}
