import type { AuxiliarySpec, WireForm } from '../types.js'
import { hasFactors } from './factor-gradients.js'

/** The form of which another is the rounding, for auxiliaries of a spec: of int8 that of the two sums that is of their parameters' size. */
export function summedForm (wire: WireForm, spec: AuxiliarySpec): Exclude<WireForm, 'int8'> {
  if (wire !== 'int8') return wire
  return hasFactors(spec) ? 'factors' : 'product'
}
