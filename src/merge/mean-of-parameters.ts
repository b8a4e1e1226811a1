import { InvalidAdapterError } from '../errors.js'
import type { AdapterTensors } from '../types.js'
import { parameterOfEach, shares, type Weighted, weightedSum } from './weighted.js'

/**
 * The rule of mode `joint`, in which all members move one auxiliary: each one's state is the common start plus what it
 * moved itself, and shares sum to one, so that the token-weighted mean of the parameters is the start plus the mean of
 * the moves.
 *
 * The same to the bit on every machine, as `meanOfProducts` is.
 *
 * @returns every parameter in its own shape; nothing at all where there are no contributions
 * @throws {InvalidAdapterError} if the adapters differ in sites, parameters or shapes
 */
export function meanOfParameters (contributions: readonly Weighted[]): AdapterTensors {
  if (contributions.length === 0) return new Map()
  const weights = shares(contributions)
  const [{ adapter: first }] = contributions
  checkCounts(contributions, first)
  return new Map([...first].map(([site, parameters]) => [site, new Map([...parameters].map(([name, { shape, values }]) => {
    const own = parameterOfEach(contributions, site, name, shape)
    return [name, { shape, values: weightedSum(own, weights, values.length) }]
  }))]))
}

/** With as many parameters as the first adapter, an adapter that has all of its parameters has no others. */
function checkCounts (contributions: readonly Weighted[], first: AdapterTensors): void {
  for (const [k, { adapter }] of contributions.entries()) {
    const [found, expected] = [adapter, first].map(each => [...each.values()].reduce((sum, { size }) => sum + size, 0))
    if (found > expected) throw new InvalidAdapterError(`contribution ${k} has ${found} parameters, contribution 0 has ${expected}`)
  }
}
