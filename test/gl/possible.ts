import { parameterShapes } from '../../src/gl/auxiliary.js'
import type { AuxiliaryKind, Site } from '../../src/types.js'

/** Whether there are auxiliaries of a kind at a site. */
export function isPossible (kind: AuxiliaryKind, site: Site): boolean {
  try {
    return parameterShapes({ kind, rank: 1, alpha: 1 }, site).size > 0
  } catch {
    return false
  }
}
