import { InvalidAdapterError } from '../errors.js'
import type { AdapterTensors } from '../types.js'

/** A member's auxiliary, and what it weighs. */
export interface Weighted {
  readonly tokens: number
  readonly adapter: AdapterTensors
}

/** p_k: every member's share of all tokens; equal shares where nobody has any. */
export function shares (members: readonly Weighted[]): number[] {
  const total = members.reduce((sum, { tokens }) => sum + tokens, 0)
  return members.map(({ tokens }) => total === 0 ? 1 / members.length : tokens / total)
}

/**
 * One parameter's values of each member, in order.
 *
 * @throws {InvalidAdapterError} if one of them lacks it or has it in another shape
 */
export function parameterOfEach (members: readonly Weighted[], site: string, name: string, shape: readonly number[]): Float32Array[] {
  return members.map(({ adapter }, k) => {
    const tensor = adapter.get(site)?.get(name)
    if (tensor?.shape.join() !== shape.join()) {
      const found = tensor === undefined ? 'missing' : `[${tensor.shape.join(', ')}]`
      throw new InvalidAdapterError(`contribution ${k}: ${site}.${name} is ${found}, it must be [${shape.join(', ')}]`)
    }
    return tensor.values
  })
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
