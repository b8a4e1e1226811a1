import { InvalidAdapterError } from '../errors.js'
import type { AdapterTensors, AuxiliaryTensors } from '../types.js'
import { type Part, parameterOf, partsAt, type Weighted, weightedSum } from './weighted.js'

/**
 * The rule of mode `joint`, in which all members move one auxiliary: each one's state is the common start plus what it
 * moved itself, and shares sum to one, so that the token-weighted mean of the parameters is the start plus the mean of
 * the moves. A site's mean is over those who have it: members may have shared the sites among them.
 *
 * The same to the bit on every machine, as `meanOfProducts` is.
 *
 * @returns every parameter in its own shape; nothing at all where there are no contributions
 * @throws {InvalidAdapterError} if the adapters differ in parameters or shapes
 */
export function meanOfParameters (members: readonly Weighted[]): AdapterTensors {
  const sites = [...new Set(members.flatMap(({ adapter }) => [...adapter.keys()]))].sort()
  return new Map(sites.map(site => [site, meanOfParts(partsAt(members, site), site)]))
}

function meanOfParts (parts: readonly Part[], site: string): AuxiliaryTensors {
  const [{ own: first }] = parts
  for (const { own } of parts) {
    if (own.size > first.size) throw new InvalidAdapterError(`a contribution has ${own.size} parameters at ${site}, another ${first.size}`) // fewer are missing below
  }
  return new Map([...first].map(([name, { shape, values }]) =>
    [name, { shape, values: weightedSum(parts.map(part => parameterOf(part, site, name, shape)), parts.map(({ share }) => share), values.length) }]))
}
