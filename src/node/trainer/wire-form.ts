import { seenBy } from '../../auxiliary-spec.js'
import { InvalidOptionError } from '../../errors.js'
import { parameterShapes } from '../../gl/auxiliary.js'
import { hasFactors } from '../../gl/factor-gradients.js'
import { factorLayout, type MessageLayout, mostBytes, pairLayout } from '../../tensor/adaptation.js'
import { type AuxiliarySpec, type Batch, type Site, WIRE_FORMS, type WireForm } from '../../types.js'

export const WIRE_OPTIONS = ['auto', ...WIRE_FORMS] as const
/** What a user may ask for: a form, or `auto` for the smallest that is exact. */
export type WireOption = typeof WIRE_OPTIONS[number]

/** What a trainer asks hosts for. */
export interface Wanted {
  readonly wire: WireForm
  /** What it fits. */
  readonly auxiliary: AuxiliarySpec
  /** Where it fits it. */
  readonly sites: readonly Site[]
}

/**
 * The form in which adaptation data of a batch are asked for. Of the exact ones, the gradients of factors of rank r take
 * r·(in + out) floats a site, pairs one row of x and one of ∇ĥ for each place.
 */
export function wireFormOf (option: WireOption, auxiliary: AuxiliarySpec, sites: readonly Site[], batch: Batch): WireForm {
  if (option !== 'auto') return option
  const bytes = (form: WireForm): number => mostBytes(layoutOf({ wire: form, auxiliary }, sites, batch))
  return hasFactors(auxiliary) && bytes('factors') < bytes('f32') ? 'factors' : 'f32'
}

/** @throws {InvalidOptionError} if a job's auxiliaries are not fitted from what is asked for */
export function checkWire (option: WireOption, auxiliary: AuxiliarySpec): void {
  if (option === 'factors' && !hasFactors(auxiliary)) {
    throw new InvalidOptionError(`${auxiliary.kind} auxiliaries have no factors; use --wire ${WIRE_OPTIONS.filter(other => other !== option).join(', ')}`)
  }
}

/** For people. */
export function describeWire (form: WireForm): string {
  switch (form) {
    case 'f32': return 'x and ∇ĥ of every token, in float32'
    case 'bf16': return 'x and ∇ĥ of every token, rounded to bfloat16'
    case 'factors': return 'what x and ∇ĥ do to the factors of the adapter, summed over tokens by the host (--wire f32 has it send x and ∇ĥ themselves)'
  }
}

/** What a message about some sites and one batch must hold. */
export function layoutOf ({ wire, auxiliary }: Pick<Wanted, 'wire' | 'auxiliary'>, sites: readonly Site[], batch: Batch): MessageLayout {
  return wire === 'factors'
    ? factorLayout(new Map(sites.map(site => [site.name, parameterShapes(auxiliary, site)])))
    : pairLayout(sites, batch, seenBy(auxiliary.kind))
}
