import { InvalidAdapterError } from '../errors.js'
import type { AdapterTensors, AuxiliarySpec, AuxiliaryTensors } from '../types.js'

/** A member's auxiliaries, and what they weigh. It may have them for some sites only. */
export interface Weighted {
  readonly tokens: number
  readonly spec: AuxiliarySpec
  readonly adapter: AdapterTensors
}

/** One site's auxiliary of a member. */
export interface Part<S extends AuxiliarySpec = AuxiliarySpec> {
  readonly spec: S
  /** p_k: the member's share of the tokens of all members that have one at the site. */
  readonly share: number
  readonly own: AuxiliaryTensors
}

/** What members have at a site, in their order. Where nobody has seen a token, all weigh the same. */
export function partsAt (members: readonly Weighted[], site: string): Part[] {
  const having = members.flatMap(({ tokens, spec, adapter }) => {
    const own = adapter.get(site)
    return own === undefined ? [] : [{ tokens, spec, own }]
  })
  const total = having.reduce((sum, { tokens }) => sum + tokens, 0)
  return having.map(({ tokens, spec, own }) => ({ spec, own, share: total === 0 ? 1 / having.length : tokens / total }))
}

/**
 * A parameter's values.
 *
 * @throws {InvalidAdapterError} if it is missing, or has another shape
 */
export function parameterOf ({ own }: Pick<Part, 'own'>, site: string, name: string, shape: readonly number[]): Float32Array {
  const tensor = own.get(name)
  if (tensor?.shape.join() !== shape.join()) {
    const found = tensor === undefined ? 'missing' : `[${tensor.shape.join(', ')}]`
    throw new InvalidAdapterError(`${site}.${name} of a contribution is ${found}, it must be [${shape.join(', ')}]`)
  }
  return tensor.values
}

/** Σ p_k·values_k, in float64, in the order given, rounded to float32 once. */
export function weightedSum (values: readonly Float32Array[], weights: readonly number[], length: number): Float32Array {
  const sum = new Float64Array(length)
  for (const [k, own] of values.entries()) {
    const weight = weights[k]
    for (let i = 0; i < length; i++) sum[i] += weight * own[i]
  }
  return Float32Array.from(sum)
}
