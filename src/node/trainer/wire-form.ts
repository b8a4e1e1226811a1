import { seenBy } from '../../auxiliary-spec.js'
import { InvalidOptionError } from '../../errors.js'
import { parameterShapes } from '../../gl/auxiliary.js'
import { hasFactors } from '../../gl/factor-gradients.js'
import { hasProduct } from '../../gl/products.js'
import { summedForm } from '../../gl/summed-form.js'
import { factorLayout, type MessageLayout, mostBytes, pairLayout, productLayout } from '../../tensor/adaptation.js'
import { MAX_BLOB_BYTES } from '../../tensor/chunks.js'
import { type AuxiliarySpec, type Batch, type Site, WIRE_FORMS, type WireForm } from '../../types.js'

export const WIRE_OPTIONS = ['auto', ...WIRE_FORMS] as const
/** Those that lose nothing, from the one of which a host sums least. */
const EXACT_FORMS = ['f32', 'factors', 'product'] as const satisfies readonly WireForm[]

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
 * r·(in + out) floats a site, the product in·out, pairs one row of x and one of ∇ĥ for each place. Of two that take the same it is
 * the one of which the host sums less.
 */
export function wireFormOf (option: WireOption, auxiliary: AuxiliarySpec, sites: readonly Site[], batch: Batch): WireForm {
  if (option !== 'auto') return option
  const bytes = (form: WireForm): number => mostBytes(layoutOf({ wire: form, auxiliary }, sites, batch))
  const exact = EXACT_FORMS.filter(form => refusalOf(form, auxiliary) === undefined && (form !== 'product' || sites.every(fitsBlob)))
  return exact.reduce((least, form) => bytes(form) < bytes(least) ? form : least)
}

/** @throws {InvalidOptionError} if a job's auxiliaries are not fitted from what is asked for */
export function checkWire (option: WireOption, auxiliary: AuxiliarySpec): void {
  const refusal = refusalOf(option, auxiliary)
  if (refusal !== undefined) throw new InvalidOptionError(`${refusal}; use --wire ${WIRE_OPTIONS.filter(other => refusalOf(other, auxiliary) === undefined).join(', ')}`)
}

/** Why auxiliaries are not fitted from a form; undefined where they are. */
function refusalOf (option: WireOption, auxiliary: AuxiliarySpec): string | undefined {
  if (option === 'factors' && !hasFactors(auxiliary)) return `${auxiliary.kind} auxiliaries have no factors`
  if (option === 'product' && !hasProduct(auxiliary)) return `${auxiliary.kind} auxiliaries are not linear in x, and need more than the sum of ∇ĥ·xᵀ`
  if (option === 'int8' && !hasFactors(auxiliary) && !hasProduct(auxiliary)) return `${auxiliary.kind} auxiliaries are not linear in x, and nothing is summed of what they are fitted from, of which a rounding could be made good by the next`
  return undefined
}

/** Whether a site's product can be sent. */
function fitsBlob (site: Site): boolean {
  return mostBytes(productLayout([site])) <= MAX_BLOB_BYTES
}

/** For people. */
export function describeWire (form: WireForm): string {
  switch (form) {
    case 'f32': return 'x and ∇ĥ of every token, in float32'
    case 'bf16': return 'x and ∇ĥ of every token, rounded to bfloat16'
    case 'f16': return 'x and ∇ĥ of every token, rounded to binary16, each tensor times a power of two'
    case 'int8': return 'what x and ∇ĥ do to the adapter, summed over tokens by the host, in 8 bits; what is rounded off is added to the next step\'s'
    case 'product': return 'the sum of ∇ĥ·xᵀ over tokens, of each module as large as its matrix (--wire f32 has it send x and ∇ĥ themselves)'
    case 'factors': return 'what x and ∇ĥ do to the factors of the adapter, summed over tokens by the host (--wire f32 has it send x and ∇ĥ themselves)'
  }
}

/** What a message about some sites and one batch must hold. */
export function layoutOf ({ wire, auxiliary }: Pick<Wanted, 'wire' | 'auxiliary'>, sites: readonly Site[], batch: Batch): MessageLayout {
  const rounded = wire === 'int8' && { dtype: 'I8' } as const
  switch (summedForm(wire, auxiliary)) {
    case 'factors': return { ...factorLayout(new Map(sites.map(site => [site.name, parameterShapes(auxiliary, site)]))), ...rounded }
    case 'product': return { ...productLayout(sites), ...rounded }
    default: return { ...pairLayout(sites, batch, seenBy(auxiliary.kind)), ...(wire === 'f16' && { dtype: 'F16' }) }
  }
}
